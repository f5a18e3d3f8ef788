#!/usr/bin/env node
// npm test: every project of the tests; the last line says how many passed and how many failed.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, runUnderNode24 } from './node24.mjs'
import { prepare } from './prepare.mjs'

await prepare({ dev: true })
const folder = join(root, '.exposure')
const report = join(folder, `test-${randomBytes(4).toString('hex')}.json`)
mkdirSync(folder, { recursive: true })
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
const { code } = await runUnderNode24(
  vitest,
  ['run', '--root', root, ...reporters, ...process.argv.slice(2)],
  // Else kafkajs would retry as little as its own tests want it to.
  { ...process.env, NODE_ENV: 'development' },
)
const { passed, failed } = countsOf(report, code)
rmSync(report, { force: true })
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 && passed > 0 && code === 0 ? 0 : 1

/** The counts of vitest's report. A file that ended before any of its tests is one failure. */
function countsOf(file, exitCode) {
  let result
  try {
    result = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 1 }
  }
  const broken = result.testResults.filter(
    (suite) => suite.status === 'failed' && !suite.assertionResults.some(isFailed),
  )
  const failed = result.numFailedTests + broken.length
  // Green tests and a red end: an error outside of any test, such as a stack that does not stop.
  return { passed: result.numPassedTests, failed: exitCode === 0 ? failed : Math.max(failed, 1) }
}

function isFailed(test) {
  return test.status === 'failed'
}
