import { Link } from '@tanstack/react-router'

import { Blank } from '../components/Notice'

export function LostPage() {
  return (
    <main>
      <Blank heading="h1" title="There is no page here">
        <Link to="/decisions">Go to the decisions</Link>
      </Blank>
    </main>
  )
}
