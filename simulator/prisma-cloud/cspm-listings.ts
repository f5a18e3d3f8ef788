// CSPM's listings by route; logging in and limits are those of the site.
import type { FaultKind } from '../faults.ts'
import type { Call, Endpoint } from '../site.ts'
import type { World } from '../world.ts'
import type { Answer } from '../delivery.ts'
import type { CspmBehaviour } from './cspm-behaviour.ts'
import { assetDetails, scanInfo } from './cspm-inventory.ts'
import { searchConfig, searchPage } from './cspm-search.ts'
import { createDownload, searchAssets, searchVulnerabilities } from './cspm-vulnerabilities.ts'

const ROW_FAULTS: readonly FaultKind[] = ['empty', 'missing-rows', 'drop-field']
const UVE = '/uve/api/v1/vulnerabilities/search'

export function cspmListings(world: World, behaviour: CspmBehaviour): Map<string, Endpoint> {
  const listing = (name: string, shows: readonly FaultKind[], answer: (call: Call) => Answer) => ({
    name,
    shows: new Set(shows),
    answer,
  })
  const inventory = listing('cspm.inventory', ROW_FAULTS, (c) => scanInfo(world, behaviour, c))
  return new Map<string, Endpoint>([
    [
      'POST /search/api/v2/config',
      listing('cspm.config', ROW_FAULTS, (c) => searchConfig(world, behaviour, c)),
    ],
    [
      'POST /search/config/page',
      listing('cspm.config-page', ROW_FAULTS, (c) => searchPage(world, behaviour, c)),
    ],
    ['GET /v2/resource/scan_info', inventory],
    ['POST /v2/resource/scan_info', inventory],
    ['POST /uai/v1/asset', listing('cspm.asset', ['empty'], (c) => assetDetails(world, c))],
    [
      `POST ${UVE}/download`,
      listing('cspm.vulnerabilities', ROW_FAULTS, createDownload(world, behaviour)),
    ],
    [
      `POST ${UVE}`,
      listing('cspm.vulnerability-search', [], (c) => searchVulnerabilities(world, behaviour, c)),
    ],
    [
      `POST ${UVE}/asset`,
      listing('cspm.vulnerability-assets', ROW_FAULTS, (c) => searchAssets(world, behaviour, c)),
    ],
  ])
}
