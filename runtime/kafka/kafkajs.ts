// The one place that loads kafkajs: its cures first, then the library, then the zstd codec.
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import type * as KafkaJS from 'kafkajs'
import { applyCures } from './cures.ts'

/** zlib answers piece by piece, 16 kB by default: a fetch would take hundreds of turns. */
const PIECE_BYTES = 512 * 1024
const ZSTD = {
  chunkSize: PIECE_BYTES,
  params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 },
}
/** A batch of ours holds at most 8 MiB and some; what claims to be far bigger is not ours. */
const UNZIPPED_BYTES_MAX = 128 * 1024 * 1024
const compress = promisify<Buffer, zlib.ZstdOptions, Buffer>(zlib.zstdCompress)
const decompress = promisify<Buffer, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress)

applyCures()
// A static import would be carried out before applyCures().
const kafkajs = createRequire(import.meta.url)('kafkajs') as typeof KafkaJS

export const { Kafka, CompressionTypes, AssignerProtocol, ConfigResourceTypes, logLevel } = kafkajs

kafkajs.CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: (encoder: { buffer: Buffer }) => compress(encoder.buffer, ZSTD),
  decompress: (bytes: Buffer) =>
    decompress(bytes, { chunkSize: PIECE_BYTES, maxOutputLength: UNZIPPED_BYTES_MAX }),
})
