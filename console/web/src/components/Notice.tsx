import { Button } from '@mantine/core'
import type { ReactNode } from 'react'

import { ApiError } from '../api/client'
import { Warning } from './icons'
import classes from './Notice.module.css'

interface NoticeProps {
  tone?: 'plain' | 'warning' | 'bad'
  title?: string
  children: ReactNode
  action?: ReactNode
}

/** A message that stays: what happened and what to do next. */
export function Notice({ tone = 'plain', title, children, action }: NoticeProps) {
  return (
    <div className={classes.notice} data-tone={tone} role={tone === 'bad' ? 'alert' : 'status'}>
      {tone !== 'plain' && <Warning size={18} />}
      <div className={classes.text}>
        {title !== undefined && <strong>{title} </strong>}
        {children}
      </div>
      {action !== undefined && <div className={classes.action}>{action}</div>}
    </div>
  )
}

/** What went wrong with a call, for people, with the number that support asks for. */
export function ErrorNotice({ error, title, onRetry }: { error: unknown; title?: string; onRetry?: (() => void) | undefined }) {
  const id = error instanceof ApiError ? error.requestId : undefined
  return (
    <Notice
      tone="bad"
      {...(title === undefined ? {} : { title })}
      action={
        onRetry && (
          <Button size="compact-sm" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )
      }
    >
      {errorText(error)}
      {id !== undefined && <span className={classes.id}> Request {id}</span>}
    </Notice>
  )
}

export const errorText = (error: unknown): string =>
  error instanceof ApiError ? error.message : 'Something went wrong in the console. Load the page again; if it stays, tell your administrator.'

/** Fills a page's place when there is nothing to show. */
export function Blank({ title, children, heading: Heading = 'h2' }: { title: string; children?: ReactNode; heading?: 'h1' | 'h2' }) {
  return (
    <div className={classes.blank}>
      <Heading className={classes.blankTitle}>{title}</Heading>
      {children}
    </div>
  )
}
