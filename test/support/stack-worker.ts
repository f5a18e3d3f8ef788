// A process of its own that starts PostgreSQL and stays: the stack test kills it.
import { startNativePostgres } from '../../stack/native-postgres.ts'

const [dataDir, port] = process.argv.slice(2)
if (dataDir === undefined) throw new Error('usage: stack-worker.ts DATA_DIR PORT')
const { url } = await startNativePostgres({ dataDir, port: Number(port) })
console.log(url)
setInterval(() => {
  // Nothing else keeps this process alive: the server does not, on purpose.
}, 60_000)
