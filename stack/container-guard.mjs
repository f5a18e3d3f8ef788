// Ends one container when the process that started it is gone: the engine itself would keep it.
//
// The parent holds our standard input open and writes nothing to it. When the parent ends, however
// it ends, the pipe closes, and the container is stopped and removed.
import { request } from 'node:http'

const CALL_TIMEOUT_MS = 60_000
const LATE_MS = 1_000
const DONE = [200, 204, 304]
const MISSING = 404
const BEING_REMOVED = 409

const plan = JSON.parse(process.argv[2] ?? '{}')
let ending = false

process.on('SIGINT', () => {})
process.on('SIGTERM', end)
process.stdin.on('end', end)
process.stdin.on('error', end)
process.stdin.resume()

async function end() {
  if (ending) return
  ending = true
  try {
    // A parent killed while it had the container made: the engine may be about to finish that.
    if (!(await remove())) {
      await new Promise((resolve) => setTimeout(resolve, LATE_MS))
      await remove()
    }
    if (plan.volume) await call('DELETE', `/volumes/${plan.volume}`)
    process.exit(0)
  } catch (error) {
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
}

/** True when there was one. */
async function remove() {
  const path = `/containers/${plan.name}`
  const stopped = await call('POST', `${path}/stop?t=${plan.stopWaitS}`)
  // With the volumes that have no name: the image's own, in which nothing of ours is.
  await call('DELETE', `${path}?force=true&v=true`)
  return stopped !== MISSING
}

function call(method, path) {
  return new Promise((resolve, reject) => {
    const timeoutMs = plan.stopWaitS * 1000 + CALL_TIMEOUT_MS
    const signal = AbortSignal.timeout(timeoutMs)
    const sent = request({ socketPath: plan.socket, method, path, signal }, (response) => {
      response.resume()
      const { statusCode } = response
      if ([...DONE, MISSING, BEING_REMOVED].includes(statusCode)) resolve(statusCode)
      else reject(new Error(`the engine answered ${statusCode} to ${method} ${path}`))
    })
    sent.once('error', reject)
    sent.end()
  })
}
