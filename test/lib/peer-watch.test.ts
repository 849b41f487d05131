import t from 'tap'
import { PeerWatch } from '../../lib/peer-watch.ts'

const settings = { keepalive: { interval: 25_000, timeout: 20_000 }, progressTimeout: 30_000 } as const
const none = { frames: 0, unfinished: false }
const some = { frames: 0, unfinished: true }

await t.test('D10: a Ping after the interval, once; gone after the timeout behind it', async (t) => {
  const watch = new PeerWatch(settings, 1000)
  t.equal(watch.silence(25_999, false), undefined)
  t.equal(watch.silence(26_000, false), 'ping')
  t.equal(watch.silence(27_000, false), undefined, 'one Ping a silence')
  t.equal(watch.silence(45_999, false), undefined)
  t.equal(watch.silence(46_000, false), 'gone')
})

await t.test('D10: whatever comes breaks the silence, and the next one gets a Ping of its own', async (t) => {
  const watch = new PeerWatch(settings, 0)
  watch.heard(1)
  t.equal(watch.silence(25_000, false), undefined)
  t.equal(watch.silence(49_999, false), undefined)
  t.equal(watch.silence(50_000, false), 'ping')
  watch.heard(1)
  t.equal(watch.silence(51_000, false), undefined)
  t.equal(watch.silence(75_999, false), undefined)
  t.equal(watch.silence(76_000, false), 'ping')
  t.equal(watch.silence(96_000, false), 'gone')
})

await t.test(
  'D10, P19: who takes on what had to wait is alive, though our Ping waits behind the rest',
  async (t) => {
    const watch = new PeerWatch(settings, 0)
    watch.output(1_000_000, 0)
    for (let now = 10_000; now <= 100_000; now += 10_000) {
      watch.output(1_000_000 - now, now)
      t.equal(watch.silence(now, false), undefined)
    }
    watch.output(900_000, 100_000)
    t.equal(watch.silence(125_000, false), 'ping')
    watch.output(900_000, 100_000)
    t.equal(watch.silence(145_000, false), 'gone', 'nothing is taken any more')
  },
)

await t.test('R2: what the kernel takes at once is no sign of the peer', async (t) => {
  const watch = new PeerWatch(settings, 0)
  for (let now = 0; now < 45_000; now += 1000) {
    watch.output(0, now)
    t.not(watch.silence(now, false), 'gone')
  }
  watch.output(0, 45_000)
  t.equal(watch.silence(45_000, false), 'gone')

  const before = new PeerWatch(settings, 0)
  before.output(0, 5000)
  t.equal(before.silence(25_000, false), 'ping', 'nor what it took before the first look')
})

await t.test(
  'D10: while we do not read, silence is our own doing: the peer is asked and not given up',
  async (t) => {
    const watch = new PeerWatch(settings, 0)
    t.equal(watch.silence(25_000, false), 'ping')
    t.equal(watch.silence(30_000, true), 'ping')
    t.equal(watch.silence(54_999, true), undefined)
    t.equal(watch.silence(100_000, true), 'ping')
    t.equal(watch.silence(124_999, false), undefined)
    t.equal(watch.silence(125_000, false), 'ping')
    t.equal(watch.silence(145_000, false), 'gone')

    const talking = new PeerWatch(settings, 0)
    talking.heard(1)
    t.equal(talking.silence(25_000, true), undefined, 'it has just been heard')

    const stuck = new PeerWatch(settings, 0)
    stuck.output(5000, 0)
    t.equal(stuck.silence(25_000, true), undefined, 'what is on its way to the peer asks well enough')
    t.equal(stuck.silence(49_999, false), undefined)
  },
)

await t.test('D10: without keepalive nobody is given up', async (t) => {
  const watch = new PeerWatch({ ...settings, keepalive: false }, 0)
  t.equal(watch.silence(1e9, false), undefined)
})

await t.test('F7: an unfinished frame without a byte stalls after the progress timeout', async (t) => {
  const watch = new PeerWatch(settings, 0)
  watch.heard(5000)
  t.equal(watch.stalls(1000, false, some), false)
  t.equal(watch.stalls(30_999, false, some), false)
  t.equal(watch.stalls(31_000, false, some), true)
})

await t.test('F7: 30 s means 30 s: nobody is cut earlier, whenever between two looks he began', async (t) => {
  const late = new PeerWatch(settings, 0)
  t.equal(late.stalls(30_000, false, some), false, 'it may have begun before the first look')

  const begun = new PeerWatch(settings, 0)
  t.equal(begun.stalls(10_000, false, none), false)
  begun.heard(2)
  t.equal(begun.stalls(11_000, false, some), false, 'it may have begun just now')
  t.equal(begun.stalls(40_999, false, some), false)
  t.equal(begun.stalls(41_000, false, some), true)

  const resumed = new PeerWatch(settings, 0)
  t.equal(resumed.stalls(10_000, true, some), false)
  t.equal(resumed.stalls(11_000, false, some), false, 'we may have read on just now')
  t.equal(resumed.stalls(40_999, false, some), false)
  t.equal(resumed.stalls(41_000, false, some), true)
})

await t.test('F7: a byte now and then is no progress, 1 KiB is', async (t) => {
  const dripped = new PeerWatch(settings, 0)
  t.equal(dripped.stalls(0, false, none), false)
  for (let now = 1000; now < 30_000; now += 1000) {
    dripped.heard(35)
    t.equal(dripped.stalls(now, false, some), false)
  }
  dripped.heard(43)
  t.equal(dripped.stalls(30_000, false, some), false)
  t.equal(dripped.stalls(31_000, false, some), true, '1023 bytes in 30 s')

  const flowing = new PeerWatch(settings, 0)
  t.equal(flowing.stalls(0, false, none), false)
  for (let now = 1000; now <= 120_000; now += 1000) {
    flowing.heard(35)
    t.equal(flowing.stalls(now, false, some), false, `${now}`)
  }

  const leastOfAll = new PeerWatch(settings, 0)
  t.equal(leastOfAll.stalls(0, false, some), false)
  leastOfAll.heard(1024)
  t.equal(leastOfAll.stalls(30_000, false, some), false, '1024 bytes in 30 s')
})

await t.test('F7: the end of a frame is progress, and between messages nothing stalls', async (t) => {
  const watch = new PeerWatch(settings, 0)
  t.equal(watch.stalls(29_000, false, { frames: 1, unfinished: true }), false)
  t.equal(watch.stalls(58_999, false, { frames: 1, unfinished: true }), false)
  t.equal(watch.stalls(59_000, false, { frames: 2, unfinished: true }), false)
  t.equal(watch.stalls(89_000, false, { frames: 2, unfinished: true }), true)
  t.equal(watch.stalls(90_000, false, { frames: 2, unfinished: false }), false)
  t.equal(watch.stalls(1e9, false, { frames: 2, unfinished: false }), false)
  t.equal(watch.stalls(1e9 + 1000, false, { frames: 2, unfinished: true }), false)
  t.equal(watch.stalls(1e9 + 31_000, false, { frames: 2, unfinished: true }), true)
})

await t.test('F7: while we do not read, nobody can come on', async (t) => {
  const watch = new PeerWatch(settings, 0)
  t.equal(watch.stalls(60_000, true, some), false)
  t.equal(watch.stalls(61_000, false, some), false)
  t.equal(watch.stalls(90_999, false, some), false)
  t.equal(watch.stalls(91_000, false, some), true)
})

await t.test('F7: a message that has just begun has its whole time, however short that is', async (t) => {
  const watch = new PeerWatch({ ...settings, progressTimeout: 1000 }, 0)
  t.equal(watch.stalls(1000, false, none), false)
  t.equal(watch.stalls(2000, false, some), false, 'it may have begun a moment ago')
  t.equal(watch.stalls(3000, false, some), true)
})
