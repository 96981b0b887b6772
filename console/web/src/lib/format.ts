// Times, durations and numbers as people read them. Pure; `now` is an argument.

const units: readonly [limit: number, size: number, one: string, many: string][] = [
  [60, 1, 's', 's'],
  [3600, 60, 'min', 'min'],
  [86_400, 3600, 'h', 'h'],
  [30 * 86_400, 86_400, 'day', 'days'],
  [365 * 86_400, 30 * 86_400, 'month', 'months'],
  [Infinity, 365 * 86_400, 'year', 'years'],
]

/** The distance between time and now, such as "12 min ago"; "just now" under five seconds. */
export function ago(time: string | number | Date, now: number): string {
  const seconds = (new Date(time).getTime() - now) / 1000
  if (Number.isNaN(seconds)) return ''
  const distance = Math.abs(seconds)
  if (distance < 5) return 'just now'
  for (const [limit, size, one, many] of units) {
    if (distance >= limit) continue
    const n = Math.trunc(distance / size)
    const words = `${n} ${n === 1 ? one : many}`
    return seconds < 0 ? `${words} ago` : `in ${words}`
  }
  return ''
}

const pad = (n: number, width = 2): string => String(n).padStart(width, '0')

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** The local time of a list's row: the clock alone today, with the day before that. */
export function clock(time: string, now: number): string {
  const t = new Date(time)
  if (Number.isNaN(t.getTime())) return time
  const hms = `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`
  const today = new Date(now)
  if (t.toDateString() === today.toDateString()) return hms
  const day = `${t.getDate()} ${months[t.getMonth()]}`
  return t.getFullYear() === today.getFullYear() ? `${day} ${hms}` : `${day} ${t.getFullYear()}`
}

/** The whole local time with its offset, such as "22 Nov 2026, 17:10:02.123 (UTC+1)". */
export function fullTime(time: string | number | Date): string {
  const t = new Date(time)
  if (Number.isNaN(t.getTime())) return String(time)
  const offset = -t.getTimezoneOffset()
  const hours = Math.trunc(Math.abs(offset) / 60)
  const minutes = Math.abs(offset) % 60
  const zone = offset === 0 ? 'UTC' : `UTC${offset < 0 ? '−' : '+'}${hours}${minutes === 0 ? '' : `:${pad(minutes)}`}`
  return (
    `${t.getDate()} ${months[t.getMonth()]} ${t.getFullYear()}, ` +
    `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}.${pad(t.getMilliseconds(), 3)} (${zone})`
  )
}

/** The time between two moments, such as "+3.2 s" or "+4 min". */
export function between(from: string, to: string): string {
  const ms = new Date(to).getTime() - new Date(from).getTime()
  if (Number.isNaN(ms)) return ''
  const sign = ms < 0 ? '−' : '+'
  const size = Math.abs(ms)
  if (size < 1000) return `${sign}${size} ms`
  if (size < 10_000) return `${sign}${(size / 1000).toFixed(1)} s`
  if (size < 60_000) return `${sign}${Math.round(size / 1000)} s`
  if (size < 3_600_000) return `${sign}${Math.round(size / 60_000)} min`
  if (size < 86_400_000) return `${sign}${Math.round(size / 3_600_000)} h`
  return `${sign}${Math.round(size / 86_400_000)} d`
}

/** A duration in microseconds, such as "412 µs" or "1.8 ms". */
export function micros(n: number): string {
  if (n < 1000) return `${n} µs`
  if (n < 1_000_000) return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)} ms`
  return `${(n / 1_000_000).toFixed(1)} s`
}

/** A count with its noun: "1 rule", "3 rules". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`
}

/** The value of an <input type="datetime-local"> for a moment, in local time. */
export function localInput(time: string | undefined): string {
  if (time === undefined) return ''
  const t = new Date(time)
  if (Number.isNaN(t.getTime())) return ''
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())}T${pad(t.getHours())}:${pad(t.getMinutes())}`
}

const regions = new Intl.DisplayNames('en', { type: 'region', fallback: 'code' })

/** The name of a country by its ISO 3166-1 alpha-2 code. */
export function countryName(code: string): string {
  try {
    return regions.of(code) ?? code
  } catch {
    return code
  }
}

/** A short name for the browser and system of a user agent; "" when neither is told. */
export function agentName(agent: string): string {
  const browser =
    /\bEdgA?\//.test(agent) ? 'Edge'
    : /\bOPR\//.test(agent) ? 'Opera'
    : /\bFirefox\/|\bFxiOS\//.test(agent) ? 'Firefox'
    : /\bChrome\/|\bCriOS\//.test(agent) ? 'Chrome'
    : /\bHeadlessChrome\//.test(agent) ? 'Headless Chrome'
    : /\bSafari\//.test(agent) ? 'Safari'
    : /^([A-Za-z][\w.-]*)\//.exec(agent)?.[1] !== 'Mozilla' ? (/^([A-Za-z][\w.-]*)\//.exec(agent)?.[1] ?? '')
    : ''
  const system =
    /\b(iPhone|iPad)\b/.test(agent) ? 'iOS'
    : /\bAndroid\b/.test(agent) ? 'Android'
    : /\bWindows\b/.test(agent) ? 'Windows'
    : /\bMac OS X\b|\bMacintosh\b/.test(agent) ? 'macOS'
    : /\bCrOS\b/.test(agent) ? 'ChromeOS'
    : /\bLinux\b/.test(agent) ? 'Linux'
    : ''
  return browser !== '' && system !== '' ? `${browser}, ${system}` : browser + system
}
