import { useEffect, useRef, type ReactNode } from 'react'

import { Gate } from '../../components/icons'
import classes from './access.module.css'

/** The quiet page around registration and sign-in. */
export function AccessFrame({ title, children }: { title: string; children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus(), [])
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <p className={classes.brand}>
          <Gate size={26} />
          Sallyport
        </p>
        <h1 ref={heading} tabIndex={-1} className={classes.title}>
          {title}
        </h1>
        {children}
      </div>
    </main>
  )
}
