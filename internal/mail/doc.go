// Package mail sends what Sallyport has to say to people: one-time codes, and
// notices that a way to confirm that it's them came or went.
//
// Open picks one of three ways by the URL of its Config:
//
//	mailer, err := mail.Open(mail.Config{
//		URL:   "smtps://user:password@mail.example.com:465",
//		From:  "Example Shop <no-reply@example.com>",
//		Brand: "Example Shop",
//	})
//
// SMTP hands mails to a server, and Outbox writes them into a folder so that
// codes can be tried out without one. Both use the words of this package, in
// English, German or Arabic. A Webhook asks the application to send the mail,
// for those that want their own words and look.
//
// Names and other texts of the application are untrusted: they cannot add
// headers, lines, markup or turn the text around them.
//
// The package refuses to send over a line that others can read, except within
// one machine; to follow redirects; and to put links, images or anything that
// tracks people into a mail. It neither queues nor retries: a code is of no use
// later, and its caller knows when to ask again.
package mail
