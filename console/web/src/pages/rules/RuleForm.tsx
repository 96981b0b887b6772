import { Button, SegmentedControl, TagsInput, Textarea, TextInput } from '@mantine/core'
import { useEffect, useId, useRef, useState } from 'react'

import type { Fact, Field, Rule } from '../../api/types'
import { Trash } from '../../components/icons'
import { outcomeLabels } from '../../lib/words'
import type { Suggestion } from '../../rules/cel'
import { modeOf, onErrorOf, onUnknownOf, userVerificationOf } from '../../rules/defaults'
import { allRules, type Change, type Draft, type DraftRule, type Values } from '../../rules/draft'
import type { Placed } from '../../rules/problems'
import { CelEditor } from './CelEditor'
import { Choice } from './Choice'
import { modeChoices, modeHelp, onErrorChoices, onUnknownChoices, outcomeChoices, ruleVerificationChoices, verificationHelp } from './choices'
import { FactHelp } from './FactHelp'
import classes from './RuleForm.module.css'

interface Props {
  action: string
  rule: DraftRule
  isNew: boolean
  problems: readonly Placed[]
  /** The draft in which the problems were found. */
  checked: Draft | undefined
  facts: readonly Suggestion[]
  vocabulary: readonly Fact[]
  fields: readonly Field[]
  readOnly: boolean
  dispatch: (change: Change) => void
  onRemove: () => void
}

export function RuleForm({ action, rule, isNew, problems, checked, facts, vocabulary, fields, readOnly, dispatch, onRemove }: Props) {
  const set = (values: Values<Omit<Rule, 'id'>>) => dispatch({ type: 'rule/set', action, rule: rule.key, values })
  const problemAt = (member: string) => problems.find(({ place }) => place.member === member)?.message
  const inCondition = problems.filter(({ place }) => place.member === 'when')
  const elsewhere = problems.filter(({ place }) => place.member === undefined)
  const list = useId()
  const condition = useId()

  // Positions belong to the text that was checked. While somebody types on, the
  // editor carries the old marks along until the next answer.
  const checkedText = checked === undefined ? undefined : allRules(checked).find(({ key }) => key === rule.key)?.when
  const placed = useSettled(inCondition, checkedText === rule.when)

  const name = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (rule.idFollows && rule.name === '') name.current?.focus()
    // Only when the form appears: a name that is cleared later must not steal the focus.
  }, [])

  const allowed = rule.outcome === 'ALLOW'
  return (
    <div className={classes.form}>
      <div className={classes.two}>
        <TextInput
          ref={name}
          label="Name"
          placeholder="Large payment from a new device"
          value={rule.name}
          readOnly={readOnly}
          error={problemAt('name')}
          onChange={(event) => set({ name: event.currentTarget.value })}
        />
        <TextInput
          label="Id"
          className={classes.id}
          value={rule.id}
          readOnly={readOnly || !isNew}
          title={isNew ? 'Made from the name until you set it' : 'The id of a published rule stays: past decisions name it'}
          error={problemAt('id')}
          spellCheck={false}
          onChange={(event) => dispatch({ type: 'rule/id', action, rule: rule.key, id: event.currentTarget.value })}
        />
      </div>

      <div className={classes.condition}>
        <div className={classes.labelLine}>
          <span className={classes.label} id={condition}>When</span>
          <FactHelp vocabulary={vocabulary} fields={fields} {...(readOnly ? {} : { onInsert: (path: string) => set({ when: rule.when === '' ? path : `${rule.when.trimEnd()} && ${path}` }) })} />
        </div>
        <CelEditor
          value={rule.when}
          onChange={(when) => set({ when })}
          facts={facts}
          problems={placed}
          readOnly={readOnly}
          label={`Condition of ${rule.name || 'the rule'}`}
          describedBy={list}
        />
        <ul id={list} className={classes.problems} aria-live="polite">
          {[...inCondition, ...elsewhere].map((problem) => (
            <li key={`${problem.line}:${problem.column}:${problem.message}`}>
              {problem.line !== undefined && (
                <span className={classes.at}>
                  line {problem.line}
                  {problem.column !== undefined && `, column ${problem.column}`}
                </span>
              )}
              {problem.message}
            </li>
          ))}
        </ul>
      </div>

      <div className={classes.choices}>
        <div>
          <span className={classes.label} id={`${list}-outcome`}>Then</span>
          <SegmentedControl
            fullWidth
            size="sm"
            aria-labelledby={`${list}-outcome`}
            value={rule.outcome}
            readOnly={readOnly}
            data={outcomeChoices}
            onChange={(value) => set({ outcome: value as Rule['outcome'] })}
          />
          <p className={classes.error}>{problemAt('outcome')}</p>
        </div>
        <div>
          <span className={classes.label} id={`${list}-mode`}>Mode</span>
          <SegmentedControl
            fullWidth
            size="sm"
            aria-labelledby={`${list}-mode`}
            aria-describedby={`${list}-modehelp`}
            value={modeOf(rule)}
            readOnly={readOnly}
            data={modeChoices}
            onChange={(value) => set({ mode: value as NonNullable<Rule['mode']> })}
          />
          <p id={`${list}-modehelp`} className={classes.help}>{modeHelp[modeOf(rule)]}</p>
        </div>
      </div>

      <div className={classes.two}>
        <Choice
          label="If a value it needs is not known"
          value={onUnknownOf(rule)}
          readOnly={readOnly}
          disabled={allowed}
          data={onUnknownChoices}
          error={problemAt('onUnknown')}
          onChange={(onUnknown) => set({ onUnknown })}
        />
        <Choice
          label="If it fails"
          value={onErrorOf(rule)}
          readOnly={readOnly}
          data={onErrorChoices}
          error={problemAt('onError')}
          onChange={(onError) => set({ onError })}
        />
      </div>
      {allowed && <p className={classes.help}>A rule that says {outcomeLabels.ALLOW.toLowerCase()} never matches for lack of a value or by failing.</p>}

      <Choice
        label="User verification"
        description={verificationHelp}
        value={userVerificationOf(rule)}
        readOnly={readOnly}
        disabled={rule.outcome !== 'CHALLENGE'}
        data={ruleVerificationChoices}
        error={problemAt('userVerification')}
        onChange={(value) => set({ userVerification: value || undefined })}
      />

      <div className={classes.two}>
        <Textarea
          label="Description"
          rows={2}
          resize="vertical"
          value={rule.description ?? ''}
          readOnly={readOnly}
          placeholder="Why this rule is here"
          error={problemAt('description')}
          onChange={(event) => set({ description: event.currentTarget.value })}
        />
        <TagsInput
          label="Tags"
          value={rule.tags ?? []}
          readOnly={readOnly}
          placeholder={readOnly || (rule.tags ?? []).length > 0 ? '' : 'Type and press Enter'}
          error={problemAt('tags')}
          onChange={(tags) => set({ tags })}
        />
      </div>

      {!readOnly && (
        <div className={classes.foot}>
          <Button size="xs" variant="default" onClick={() => dispatch({ type: 'rule/duplicate', action, rule: rule.key })}>
            Duplicate
          </Button>
          <Button size="xs" variant="subtle" color="red" leftSection={<Trash size={14} />} onClick={onRemove}>
            Remove rule
          </Button>
        </div>
      )}
    </div>
  )
}

/** The last value that settled: the same array while unsettled or when nothing in it differs. */
function useSettled<T>(value: readonly T[], settled: boolean): readonly T[] {
  const [kept, setKept] = useState(value)
  const text = JSON.stringify(value)
  useEffect(() => {
    if (settled) setKept(JSON.parse(text) as T[])
  }, [settled, text])
  return kept
}
