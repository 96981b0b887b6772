import { useEffect, useState } from 'react'

import { ago, clock, fullTime } from '../lib/format'

// All clocks on a page tick together, so that rows never contradict each other.
const listeners = new Set<(now: number) => void>()
let timer: ReturnType<typeof setInterval> | undefined

function watch(listener: (now: number) => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    const now = Date.now()
    for (const each of listeners) each(now)
  }, 5000)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
  }
}

/** The current time in milliseconds, renewed every five seconds. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => watch(setNow), [])
  return now
}

/** "12 min ago", with the whole time on hover. */
export function Ago({ time }: { time: string }) {
  const now = useNow()
  return (
    <time dateTime={time} title={fullTime(time)}>
      {ago(time, now)}
    </time>
  )
}

/** The local clock time, with the whole time and the distance on hover. */
export function Clock({ time }: { time: string }) {
  const now = useNow()
  return (
    <time dateTime={time} title={`${ago(time, now)}: ${fullTime(time)}`}>
      {clock(time, now)}
    </time>
  )
}
