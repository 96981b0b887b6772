// Package engine decides what to do about an action: it gathers facts, asks the
// rules, applies the policies for people who cannot be challenged and for
// decisions that fail, and records the decision together with its event.
//
// It runs without a server. With a rule set and a recorder it decides; signals,
// lists and metrics make more facts known:
//
//	guard, err := engine.New(engine.Config{
//		Recorder: memory.New(),
//		Rules:    func() *rules.Set { return set },
//	})
//	decision, err := guard.Track(ctx, engine.Action{ActionID: id, Custom: data})
//
// See examples/embedded for a program with all of them. The engine holds no
// ceremonies: it says that a challenge is required, and package ceremonies, or the
// program, has the person prove who they are.
package engine
