// CEL as far as an editor needs it: words to colour and words to offer. The
// server alone decides what a condition means.

import type { Fact, Field } from '../api/types'
import { fieldName } from './defaults'

export type TokenKind = 'fact' | 'function' | 'keyword' | 'string' | 'number' | 'operator' | 'comment' | 'punctuation' | 'space'

export interface Token {
  kind: TokenKind
  text: string
}

// CEL specification, section "Syntax", in the order in which they are tried.
const lexemes: readonly [TokenKind, RegExp][] = [
  ['space', /^\s+/],
  ['comment', /^\/\/.*/],
  ['string', /^[bB]?[rR]?(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$))|^[bB]?[rR](?:"[^"\n]*"?|'[^'\n]*'?)|^[bB]?(?:"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)/],
  ['number', /^(?:0[xX][0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?|\.\d+)[uU]?/],
  ['keyword', /^(?:true|false|null|in)\b/],
  ['function', /^[A-Za-z_]\w*(?=\s*\()/],
  ['fact', /^[A-Za-z_]\w*/],
  ['operator', /^(?:&&|\|\||[=!<>]=|[<>!?:+\-*/%])/],
  ['punctuation', /^[^]/],
]

/** The first token of text, which must not be empty. */
export function nextToken(text: string): Token {
  for (const [kind, pattern] of lexemes) {
    const found = pattern.exec(text)?.[0]
    if (found !== undefined && found !== '') return { kind, text: found }
  }
  return { kind: 'punctuation', text: text.slice(0, 1) }
}

/** All tokens of text; joined they are the text again. */
export function tokens(text: string): Token[] {
  const out: Token[] = []
  for (let rest = text; rest !== ''; ) {
    const token = nextToken(rest)
    out.push(token)
    rest = rest.slice(token.text.length)
  }
  return out
}

/** Something to offer while a condition is typed. */
export interface Suggestion {
  label: string
  kind: 'fact' | 'function' | 'keyword'
  type: string
  doc: string
  /** What is typed instead of the label; "|" marks where the cursor goes. */
  insert?: string
}

const functions: readonly Suggestion[] = [
  { label: 'known', kind: 'function', type: 'boolean', doc: 'True when the value is there. A condition that needs a missing value does not match.', insert: 'known(|)' },
  { label: 'size', kind: 'function', type: 'number', doc: 'Number of characters of a text.', insert: 'size(|)' },
  { label: 'duration', kind: 'function', type: 'duration', doc: 'A length of time, such as duration("24h").', insert: 'duration("|")' },
  { label: 'timestamp', kind: 'function', type: 'timestamp', doc: 'A moment, such as timestamp("2026-01-01T00:00:00Z").', insert: 'timestamp("|")' },
  { label: 'true', kind: 'keyword', type: 'boolean', doc: '' },
  { label: 'false', kind: 'keyword', type: 'boolean', doc: '' },
  { label: 'in', kind: 'keyword', type: '', doc: 'Whether a list has the value: ip.countryCode in ["DE", "FR"].' },
]

const methods: Readonly<Record<string, readonly Suggestion[]>> = {
  string: [
    { label: 'startsWith', kind: 'function', type: 'boolean', doc: 'Whether the text begins with another.', insert: 'startsWith("|")' },
    { label: 'endsWith', kind: 'function', type: 'boolean', doc: 'Whether the text ends with another.', insert: 'endsWith("|")' },
    { label: 'contains', kind: 'function', type: 'boolean', doc: 'Whether the text has another in it.', insert: 'contains("|")' },
    { label: 'matches', kind: 'function', type: 'boolean', doc: 'Whether the text matches a regular expression (RE2).', insert: 'matches("|")' },
    { label: 'size', kind: 'function', type: 'number', doc: 'Number of characters.', insert: 'size()|' },
  ],
  timestamp: [
    { label: 'getHours', kind: 'function', type: 'number', doc: 'Hour from 0 to 23, in UTC or in the zone named.', insert: 'getHours("|")' },
    { label: 'getDayOfWeek', kind: 'function', type: 'number', doc: 'Day of the week from 0, Sunday.', insert: 'getDayOfWeek("|")' },
    { label: 'getMonth', kind: 'function', type: 'number', doc: 'Month from 0, January.', insert: 'getMonth("|")' },
  ],
}

/** Every fact that a condition may read: the built-in ones and the declared fields. */
export const readable = (facts: readonly Fact[], fields: readonly Field[]): Suggestion[] => [
  ...facts.map((fact): Suggestion => ({ label: fact.name, kind: 'fact', type: fact.type, doc: fact.doc })),
  ...fields
    .filter((field) => field.name !== '')
    .map((field): Suggestion => ({ label: fieldName(field), kind: 'fact', type: field.type, doc: field.description ?? '' })),
]

export interface Completion {
  /** Offset where the words to replace begin. */
  from: number
  options: Suggestion[]
}

/**
 * What to offer at the end of text, the part of a condition before the cursor;
 * null inside strings, comments and numbers, and when nothing has been typed
 * unless it was asked for.
 */
export function complete(text: string, facts: readonly Suggestion[], asked: boolean): Completion | null {
  const last = tokens(text).at(-1)
  if (last !== undefined && (last.kind === 'comment' || last.kind === 'number' || (last.kind === 'string' && !isClosed(last.text)))) return null

  const path = /[A-Za-z_][\w.]*$/.exec(text)?.[0] ?? ''
  if (path === '' && !asked) return null
  const from = text.length - path.length

  // A dot behind a fact asks for what its type can do.
  const dot = path.lastIndexOf('.')
  const owner = facts.find((fact) => fact.label === path.slice(0, dot))
  if (dot > 0 && owner !== undefined) {
    const options = methods[owner.type] ?? []
    return options.length === 0 ? null : { from: from + dot + 1, options: [...options] }
  }
  return { from, options: dot > 0 ? [...facts] : [...facts, ...functions] }
}

const isClosed = (literal: string): boolean => /^[bBrR]*(?:"""[^]*"""|'''[^]*'''|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')$/.test(literal)
