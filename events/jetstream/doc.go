// Package jetstream is the road from the log to everything that follows it: a
// relay publishes the log's events into a NATS JetStream stream, in order, and
// readers take them out again from any position.
//
//	stream, err := jetstream.Open(ctx, jetstream.Config{Dir: dir})  // or URL: a cluster
//	go jetstream.NewRelay(stream, log, jetstream.RelayConfig{}).Run(ctx)
//	err = stream.Read(ctx, after, func(batch []events.Event) error { … })
//
// NATS only carries. The SQL log is the truth: what the stream loses is relayed
// again, and a reader that meets a gap reads the log. So the stream is not
// fsynced for each message by default, and losing its folder loses nothing.
//
// One message carries a batch of consecutive events of one epoch, under the
// message id "epoch-from-to": a message for each event cost more CPU than all
// else on the way of the event.
//
// Without a URL the package embeds nats-server as a library that listens
// nowhere, and starts it again when its storage fails.
package jetstream
