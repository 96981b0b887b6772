import { Button, Group } from '@mantine/core'

import { Blank } from '../../components/Notice'
import { localInput } from '../../lib/format'
import type { ChangeFilters } from './FilterBar'
import { countFilters, defaultRange, rangeLabel, type Filters } from './filters'

/** Nothing below these filters, though there are decisions: says how to see some. */
export function NothingFound({ filters, onChange }: { filters: Filters; onChange: ChangeFilters }) {
  const time = rangeLabel(filters, (moment) => localInput(moment).replace('T', ' '))
  const anyTime = filters.range === 'all'
  return (
    <Blank title="No decision matches">
      <span>
        {countFilters(filters) > 0 ? 'Nothing has all of these values' : 'Nothing was decided'} in this time: {time.toLowerCase()}.
      </span>
      <Group gap="xs" justify="center">
        {!anyTime && (
          <Button size="sm" variant="default" onClick={() => onChange({ range: (filters.range ?? defaultRange) === '30d' ? 'all' : '30d' })}>
            {(filters.range ?? defaultRange) === '30d' ? 'Look at any time' : 'Look at the last 30 days'}
          </Button>
        )}
        {countFilters(filters) > 0 && (
          <Button size="sm" variant="default" onClick={() => onChange({ user: undefined, action: undefined, outcome: undefined })}>
            Clear the filters
          </Button>
        )}
      </Group>
    </Blank>
  )
}
