/** The fuzzer's command line: see `command.ts`, or run it with --help. */
import { argv, exit } from 'node:process'
import { fuzz } from './command.ts'
import { targets } from './targets.ts'

const status = await fuzz(argv.slice(2), {
  program: 'node .build/test/fuzz/run.js',
  targets,
  failures: '.build/fuzz-failures',
  say: console.log,
})
exit(status)
