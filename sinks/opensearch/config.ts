// The settings of the sink for OpenSearch and Elasticsearch.
import { z } from 'zod'
import { secretReference } from '../../runtime/environment.ts'
import { commonSink } from '../../runtime/sink-settings.ts'

/** Part of the name of an index, and of a data stream. */
const namePart = z.string().regex(/^[a-z0-9][a-z0-9_]{0,39}$/, 'must be 1 to 40 of a-z, 0-9 and _')

/** `sinks.opensearch` in the settings. */
export const openSearchConfig = z
  .strictObject({
    /** Without user and password; a path in it is kept. */
    url: z
      .url({ protocol: /^https?$/ })
      .refine((text) => URL.parse(text)?.username === '', 'must not contain user or password'),
    username: secretReference.optional(),
    password: secretReference.optional(),
    /** In place of user and password: the encoded key. */
    apiKey: secretReference.optional(),
    /** PEM file of authorities to trust besides the usual ones. */
    caFile: z.string().min(1).optional(),
    /** Elasticsearch calls one type of field by another name. */
    flavour: z.enum(['opensearch', 'elasticsearch']).default('opensearch'),
    /** What documents are: OCSF 1.8.0, or the Elastic Common Schema. */
    format: z.enum(['ocsf', 'ecs']).default('ocsf'),
    /** Begins the names of indices: `<prefix>-findings-v1`, `logs-<prefix>.finding-<namespace>`. */
    prefix: namePart.default('exposure'),
    namespace: namePart.default('default'),
    shards: z.int().min(1).max(64).default(1),
    replicas: z.int().min(0).max(8).default(1),
    ...commonSink,
  })
  .refine((given) => (given.username === undefined) === (given.password === undefined), {
    error: 'username and password go together',
  })
  .refine((given) => given.apiKey === undefined || given.username === undefined, {
    error: 'either apiKey, or username and password',
  })

export type OpenSearchConfig = z.infer<typeof openSearchConfig>
