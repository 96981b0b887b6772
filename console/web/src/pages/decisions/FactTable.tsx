import { Button } from '@mantine/core'

import type { FactValue } from '../../api/types'
import { PlaceCredit } from '../../components/PlaceCredit'
import { countryName } from '../../lib/format'
import { isPersonal, maskFact } from '../../lib/mask'
import { showPersonal, usePersonalShown } from '../../lib/personal'
import { factText, groupFacts } from './facts'
import classes from './FactTable.module.css'

/** Everything a rule could read, also what was not known. */
export function FactTable({ facts }: { facts: readonly FactValue[] }) {
  const shown = usePersonalShown()
  if (facts.length === 0) return <p className={classes.none}>The facts of this decision have been erased. The decision itself stays in the audit trail.</p>
  const hidden = !shown && facts.some(({ name, known }) => known && isPersonal(name))
  return (
    <>
      {groupFacts(facts).map((group) => (
        <div key={group.name} className={classes.group}>
          <h3 className={classes.title}>{group.title}</h3>
          <dl className={classes.facts}>
            {group.facts.map((fact) => (
              <div key={fact.name} className={classes.fact} data-unknown={!fact.known || undefined}>
                <dt title={fact.doc}>{fact.name}</dt>
                <dd>{fact.known ? <Value fact={fact} shown={shown} /> : 'not known'}</dd>
              </div>
            ))}
          </dl>
        </div>
      ))}
      {hidden && (
        <Button size="compact-xs" variant="subtle" onClick={() => showPersonal(true)}>
          Show personal data
        </Button>
      )}
      {facts.some(({ name, known }) => known && name === 'ip.countryCode') && <PlaceCredit />}
    </>
  )
}

function Value({ fact, shown }: { fact: FactValue; shown: boolean }) {
  const text = factText(fact)
  if (!shown && isPersonal(fact.name)) return <span title="Personal data is hidden">{maskFact(fact.name, text)}</span>
  const country = fact.name === 'ip.countryCode' ? countryName(text) : text
  return (
    <>
      {text}
      {country !== text && <span className="dim"> {country}</span>}
    </>
  )
}
