import { Button } from '@mantine/core'
import { Link, type ErrorComponentProps } from '@tanstack/react-router'

import { Blank, errorText } from '../components/Notice'

export function LostPage() {
  return (
    <main>
      <Blank heading="h1" title="There is no page here">
        <Link to="/decisions">Go to the decisions</Link>
      </Blank>
    </main>
  )
}

/** A fault of the console itself, or code that is gone since an upgrade: a fresh load mends most of them. */
export function BrokenPage({ error }: ErrorComponentProps) {
  return (
    <main role="alert">
      <Blank heading="h1" title="The console has stumbled">
        <span>{errorText(error)}</span>
        <Button onClick={() => location.reload()}>Load the page again</Button>
      </Blank>
    </main>
  )
}
