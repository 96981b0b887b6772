// Package backtest decides again what was decided before: with the sets that were
// in force, to prove that decisions can be repeated, or with a draft, to see what
// it would have done. It reads the log, changes nothing, and adds nothing to lists.
//
//	report, err := backtest.Replay(ctx, backtest.Config{Log: store, Sets: compiled, Draft: draft, From: monthAgo, To: now})
//
// A decision is repeated from its recorded facts and list tests, by the engine's
// own evaluator. Its metrics are computed anew: from exactly the events up to the
// position that the decision recorded, with windows that end at the decision's
// time. What cannot be repeated is counted in the report and never guessed:
// decisions of people whose data were erased, decisions that a failure made before
// the rules were asked, and those whose set is gone.
package backtest
