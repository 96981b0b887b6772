import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type Completion, type CompletionContext } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { bracketMatching } from '@codemirror/language'
import { lintKeymap, setDiagnostics, type Diagnostic } from '@codemirror/lint'
import { Annotation, Compartment, EditorState, RangeSetBuilder } from '@codemirror/state'
import { Decoration, EditorView, keymap, placeholder, tooltips, ViewPlugin, type DecorationSet, type ViewUpdate } from '@codemirror/view'
import { useEffect, useRef } from 'react'

import type { Problem } from '../../api/types'
import { styleNonce } from '../../lib/prefix'
import { complete, tokens, type Suggestion } from '../../rules/cel'
import { rangeOf } from '../../rules/problems'

interface Props {
  value: string
  onChange: (value: string) => void
  facts: readonly Suggestion[]
  problems: readonly Problem[]
  readOnly: boolean
  label: string
  describedBy?: string
  /** Puts the cursor into the editor when it appears. */
  autoFocus?: boolean
}

/** Marks a change that came from outside, which must not be told back. */
const fromOutside = Annotation.define<boolean>()

/** The editor of one condition: colours, words to choose from, and the server's problems in place. */
export function CelEditor({ value, onChange, facts, problems, readOnly, label, describedBy, autoFocus = false }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(undefined)
  const setup = useRef(new Compartment())
  const latest = useRef({ onChange, facts, value, autoFocus })
  useEffect(() => {
    latest.current = { onChange, facts, value, autoFocus }
  })

  useEffect(() => {
    if (host.current === null) return
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          EditorView.cspNonce.of(styleNonce),
          history(),
          bracketMatching(),
          closeBrackets(),
          colours,
          typeOver,
          EditorView.lineWrapping,
          tooltips({ position: 'fixed', parent: document.body }),
          placeholder('custom.amount > 1000 && device.isNew'),
          autocompletion({
            override: [(context) => offer(context, latest.current.facts)],
            icons: false,
            activateOnTyping: true,
            optionClass: (option) => `cel-option-${option.type ?? ''}`,
          }),
          keymap.of([...closeBracketsKeymap, ...completionKeymap, ...lintKeymap, ...defaultKeymap, ...historyKeymap]),
          EditorView.updateListener.of((update) => {
            const told = update.transactions.some((transaction) => transaction.annotation(fromOutside) === true)
            if (update.docChanged && !told) latest.current.onChange(update.state.doc.toString())
          }),
          look,
          setup.current.of([]),
        ],
      }),
    })
    view.current = editor
    if (latest.current.autoFocus) editor.focus()
    return () => editor.destroy()
  }, [])

  useEffect(() => {
    view.current?.dispatch({
      effects: setup.current.reconfigure([
        EditorState.readOnly.of(readOnly),
        EditorView.editable.of(!readOnly),
        EditorView.contentAttributes.of({
          'aria-label': label,
          ...(describedBy === undefined ? {} : { 'aria-describedby': describedBy }),
          ...(readOnly ? { tabindex: '0' } : {}),
          spellcheck: 'false',
          autocapitalize: 'off',
          autocorrect: 'off',
        }),
      ]),
    })
  }, [readOnly, label, describedBy])

  useEffect(() => {
    const editor = view.current
    if (editor === undefined || editor.state.doc.toString() === value) return
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value }, annotations: fromOutside.of(true) })
  }, [value])

  useEffect(() => {
    const editor = view.current
    if (editor === undefined) return
    const text = editor.state.doc.toString()
    const found = problems.map((problem): Diagnostic => ({ ...rangeOf(text, problem.line, problem.column), severity: 'error', message: problem.message }))
    editor.dispatch(setDiagnostics(editor.state, found))
  }, [problems])

  return <div ref={host} />
}

// Chromium keeps the look of a selection that is typed over, by a style attribute
// that the page's policy refuses. The editor replaces the selection itself.
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, editor) {
    const { from, to, empty } = editor.state.selection.main
    const text = event.data
    if (event.inputType !== 'insertText' || text === null || empty || editor.state.readOnly) return false
    const insert = () => editor.state.update(editor.state.replaceSelection(text), { userEvent: 'input.type', scrollIntoView: true })
    const handled = editor.state.facet(EditorView.inputHandler).some((handler) => handler(editor, from, to, text, insert))
    if (!handled) editor.dispatch(insert())
    event.preventDefault()
    return true
  },
})

function offer(context: CompletionContext, facts: readonly Suggestion[]) {
  const found = complete(context.state.doc.sliceString(0, context.pos), facts, context.explicit)
  if (found === null) return null
  return { from: found.from, options: found.options.map(option), validFor: /^[\w.]*$/ }
}

const option = (suggestion: Suggestion): Completion => ({
  label: suggestion.label,
  type: suggestion.kind,
  detail: suggestion.type,
  boost: suggestion.kind === 'fact' ? 1 : 0,
  ...(suggestion.doc === '' ? {} : { info: suggestion.doc }),
  apply: (editor, _, from, to) => {
    const [before = '', after = ''] = (suggestion.insert ?? `${suggestion.label}|`).split('|')
    editor.dispatch({
      changes: { from, to, insert: before + after },
      selection: { anchor: from + before.length },
      userEvent: 'input.complete',
    })
  },
})

const marks = new Map<string, Decoration>()
const markOf = (kind: string): Decoration => {
  const mark = marks.get(kind) ?? Decoration.mark({ class: `cel-${kind}` })
  marks.set(kind, mark)
  return mark
}

// A condition is 4 KiB at most: reading all of it again costs less than keeping track.
const colours = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet
    constructor(editor: EditorView) {
      this.decorations = paint(editor.state)
    }
    update(update: ViewUpdate) {
      if (update.docChanged) this.decorations = paint(update.state)
    }
  },
  { decorations: (plugin) => plugin.decorations },
)

function paint(state: EditorState): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>()
  let at = 0
  for (const { kind, text } of tokens(state.doc.toString())) {
    if (kind !== 'space') builder.add(at, at + text.length, markOf(kind))
    at += text.length
  }
  return builder.finish()
}

const look = EditorView.theme({
  '&': { fontSize: '13.5px', border: '1px solid var(--line-strong)', borderRadius: '6px', backgroundColor: 'var(--surface)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.6' },
  '.cm-content': { padding: '9px 4px', minHeight: '62px', caretColor: 'var(--text)' },
  '.cm-line': { padding: '0 8px' },
  '.cm-placeholder': { color: 'var(--dim)' },
  '.cm-matchingBracket': { backgroundColor: 'var(--chosen) !important', outline: '1px solid var(--line-strong)' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--block) 1.3px', textUnderlineOffset: '4px', textDecorationSkipInk: 'none' },
  '.cm-tooltip': { border: '1px solid var(--line-strong)', borderRadius: '6px', backgroundColor: 'var(--surface)', color: 'var(--text)', boxShadow: '0 6px 20px rgb(0 0 0 / 16%)', overflow: 'hidden', zIndex: '400' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '13px', maxHeight: '260px', minWidth: '260px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { display: 'flex', gap: '16px', padding: '4px 10px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--chosen)', color: 'var(--text)' },
  '.cm-completionLabel': { flex: '1' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionDetail': { marginLeft: '0', fontStyle: 'normal', color: 'var(--dim)', fontSize: '12px' },
  '.cm-completionInfo': { padding: '8px 10px', maxWidth: '300px', fontSize: '13px', lineHeight: '1.4' },
  '.cm-diagnostic': { padding: '7px 12px', borderLeft: '3px solid var(--block)', fontSize: '13px' },
})
