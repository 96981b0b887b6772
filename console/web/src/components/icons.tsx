// The console's icons: 24 by 24, one stroke, drawn here so that nothing is
// loaded from elsewhere. They are decoration; names stand beside them.

import type { ReactNode, SVGProps } from 'react'

type Props = Omit<SVGProps<SVGSVGElement>, 'children'> & { size?: number }

const icon = (drawing: ReactNode) =>
  function Icon({ size = 16, ...rest }: Props) {
    return (
      <svg
        width={size}
        height={size}
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        strokeWidth={2}
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
        focusable="false"
        {...rest}
      >
        {drawing}
      </svg>
    )
  }

export const Check = icon(<path d="M5 12.5l4.5 4.5L19 7.5" />)
export const Cross = icon(<path d="M6 6l12 12M18 6L6 18" />)
export const Plus = icon(<path d="M12 5v14M5 12h14" />)
export const Key = icon(<><circle cx="8" cy="15" r="4" /><path d="M11 12l8-8M16 7l3 3" /></>)
export const Eye = icon(<><path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z" /><circle cx="12" cy="12" r="2.8" /></>)
export const EyeOff = icon(<path d="M4 4l16 16M9.9 5.8A9 9 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a16 16 0 0 1-3 3.7M6.3 7.6A16 16 0 0 0 2.5 12S6 18.5 12 18.5a9 9 0 0 0 4.3-1.1M10 10a2.8 2.8 0 0 0 4 4" />)
export const Stop = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M6 6l12 12" /></>)
export const Search = icon(<><circle cx="11" cy="11" r="6.5" /><path d="M16 16l4.5 4.5" /></>)
export const Clock = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M12 7v5l3.5 2" /></>)
export const Copy = icon(<><rect x="8.5" y="8.5" width="11" height="11" rx="2" /><path d="M15.5 5.5A1.5 1.5 0 0 0 14 4.5H6A1.5 1.5 0 0 0 4.5 6v8a1.5 1.5 0 0 0 1 1.5" /></>)
export const Sun = icon(<><circle cx="12" cy="12" r="4" /><path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4" /></>)
export const Moon = icon(<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z" />)
export const Help = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M9.7 9.5a2.4 2.4 0 1 1 3.5 2.1c-.8.5-1.2 1-1.2 1.9M12 16.6v.1" /></>)
export const Up = icon(<path d="M12 19V5M6 11l6-6 6 6" />)
export const Down = icon(<path d="M12 5v14M6 13l6 6 6-6" />)
export const Chevron = icon(<path d="M9 6l6 6-6 6" />)
export const ChevronDown = icon(<path d="M6 9l6 6 6-6" />)
export const Trash = icon(<path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 12.5h9l1-12.5M10.5 11v5M13.5 11v5" />)
export const Grip = icon(<path d="M9 6v.01M9 12v.01M9 18v.01M15 6v.01M15 12v.01M15 18v.01" strokeWidth={2.6} />)
export const Undo = icon(<path d="M8 5L4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11h-3" />)
export const History = icon(<path d="M4 12a8 8 0 1 0 2.5-5.8L4 8.5M4 4v4.5h4.5M12 8v4.5l3 1.8" />)
export const Warning = icon(<path d="M12 4L2.8 19.5h18.4zM12 10v4.5M12 17.2v.1" />)
export const Out = icon(<path d="M14 5H6.5A1.5 1.5 0 0 0 5 6.5v11A1.5 1.5 0 0 0 6.5 19H14M10.5 12H20M16.5 8.5L20 12l-3.5 3.5" />)
export const Ghost = icon(<><path d="M5 20v-9a7 7 0 0 1 14 0v9l-2.3-1.7L14.3 20 12 18.3 9.7 20l-2.4-1.7z" /><path d="M9.5 11v.01M14.5 11v.01" strokeWidth={2.6} /></>)
export const Person = icon(<><circle cx="12" cy="8" r="3.8" /><path d="M4.8 20c.8-3.8 3.7-5.8 7.2-5.8s6.4 2 7.2 5.8" /></>)
export const Settings = icon(<path d="M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5" />)
export const Fields = icon(<path d="M8 4.5c-2 0-2.5 1-2.5 2.5v2.5c0 1.5-1 2.5-2 2.5 1 0 2 1 2 2.5V17c0 1.5.5 2.5 2.5 2.5M16 4.5c2 0 2.5 1 2.5 2.5v2.5c0 1.5 1 2.5 2 2.5-1 0-2 1-2 2.5V17c0 1.5-.5 2.5-2.5 2.5" />)

export function Gate({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect width="24" height="24" rx="5.5" fill="#3f4fc4" />
      <path d="M5.6 18.4V11a6.4 6.4 0 0 1 12.8 0v7.4" fill="none" stroke="#fff" strokeWidth="2.1" strokeLinecap="round" />
      <path d="M9.7 18.4v-6.6a2.3 2.3 0 0 1 4.6 0v6.6" fill="none" stroke="#fff" strokeWidth="2.1" strokeLinecap="round" />
    </svg>
  )
}
