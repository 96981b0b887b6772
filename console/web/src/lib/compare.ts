// A comparison of two texts, for the eyes.

export interface Piece {
  kind: 'same' | 'removed' | 'added'
  text: string
}

const words = (text: string): string[] => text.match(/[\w.]+|\s+|[^\w\s]/g) ?? []

// Longer texts are shown whole: comparing costs the product of both lengths.
const maxWords = 1000

/** The words of both texts in order: what stayed, what went, what came. */
export function compareWords(before: string, after: string): Piece[] {
  const a = words(before)
  const b = words(after)
  if (a.length > maxWords || b.length > maxWords) {
    return [{ kind: 'removed' as const, text: before }, { kind: 'added' as const, text: after }].filter(({ text }) => text !== '')
  }
  // common[i][j]: length of the longest common subsequence of a from i and b from j.
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1))
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0
  for (let i = a.length - 1; i >= 0; i--) {
    const row = common[i]
    if (row === undefined) continue
    for (let j = b.length - 1; j >= 0; j--) row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
  }
  const pieces: Piece[] = []
  const push = (kind: Piece['kind'], text: string | undefined) => {
    const last = pieces.at(-1)
    if (last?.kind === kind) last.text += text ?? ''
    else pieces.push({ kind, text: text ?? '' })
  }
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      push('same', a[i++])
      j++
    } else if (i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))) push('removed', a[i++])
    else push('added', b[j++])
  }
  return pieces
}
