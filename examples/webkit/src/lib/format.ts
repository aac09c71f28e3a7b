// How numbers and times are written. One place, so that the server and the browser agree.
const money = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR', maximumFractionDigits: 0 })
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' })
const moment = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  timeZone: 'UTC',
})

export const formatMoney = (cents: number) => money.format(cents / 100)
export const formatDay = (value: Date | string) => day.format(new Date(value))
export const formatMoment = (value: Date) => `${moment.format(value)} UTC`

/** "just now", "4 min ago", "yesterday": as somebody would say it at `now`. */
export function formatAgo(value: Date, now: number): string {
  const seconds = Math.max(0, (now - value.getTime()) / 1000)
  if (seconds < 45) return 'just now'
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`
  const days = Math.round(seconds / 86_400)
  if (days === 1) return 'yesterday'
  return days < 14 ? `${days} days ago` : formatDay(value)
}

export const initialsOf = (name: string) =>
  name
    .split(/\s+/)
    .map((word) => word[0] ?? '')
    .slice(0, 2)
    .join('')
    .toUpperCase()
