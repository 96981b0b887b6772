package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
)

// OutboxSize is how many mails an Outbox keeps, the newest.
const OutboxSize = 100

// outboxName is a file that an Outbox wrote: when, and which of those of that
// moment. Names sort by age. Other files in the folder are left alone.
var outboxName = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{9}Z-[0-9]{6}\.eml$`)

// Outbox is a Mailer that writes each mail into a folder, as a text file with a
// few headers. It is for trying things out only: nobody gets a mail, and whoever
// can read the folder can read the codes. It is safe for use by several
// goroutines, and by one process at a time.
type Outbox struct {
	folder string
	from   netmail.Address
	brand  string
	now    func() time.Time

	writing sync.Mutex
	written int // by this process; tells files of the same moment apart
}

// NewOutbox returns the Mailer for a URL such as "dir:/path". It creates the
// folder with mode 0700, and refuses one that others have access to.
func NewOutbox(c Config) (*Outbox, error) {
	problems := []error{c.defaults(), c.brand()}
	from, err := c.sender()
	problems = append(problems, err)
	// The scheme may be in capitals, as in other URLs.
	_, folder, _ := strings.Cut(c.URL, ":")
	if folder == "" {
		problems = append(problems, errors.New("the URL names no folder: write it like dir:/path"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("mail into a folder: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("mail into a folder: %w", err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return nil, fmt.Errorf("mail into a folder: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("mail into a folder: others have access to %s (mode %04o, should be 0700): they could read the codes", folder, mode)
	}
	return &Outbox{folder: folder, from: from, brand: c.Brand, now: c.Now}, nil
}

// Send returns once the file is written, with mode 0600. It then removes the
// oldest files beyond OutboxSize.
func (o *Outbox) Send(ctx context.Context, mail ceremonies.Mail) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	now := o.now().UTC()
	l, err := compose(mail, o.brand, now)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	// Subjects stay readable, as RFC 6532 allows.
	text := "Date: " + now.Format(time.RFC1123Z) + "\n" +
		"From: " + o.from.String() + "\n" +
		"To: " + mail.To + "\n" +
		"Subject: " + l.subject + "\n" +
		"MIME-Version: 1.0\n" +
		"Content-Type: text/plain; charset=utf-8\n" +
		"Content-Transfer-Encoding: 8bit\n" +
		"Content-Language: " + l.language.tag + "\n\n" + l.plain()

	o.writing.Lock()
	defer o.writing.Unlock()
	o.written++
	name := fmt.Sprintf("%s-%06d.eml", now.Format("20060102T150405.000000000Z"), o.written%1_000_000)
	if err := o.write(name, text); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if err := o.tidy(); err != nil {
		return fmt.Errorf("remove old mails: %w", err)
	}
	return nil
}

// write puts a file in its place when it is complete, so that whoever watches the
// folder never reads half a mail.
func (o *Outbox) write(name, text string) error {
	part, err := os.CreateTemp(o.folder, ".part-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = part.WriteString(text)
	if err := errors.Join(err, part.Close()); err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	if err := os.Rename(part.Name(), filepath.Join(o.folder, name)); err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	return nil
}

// tidy removes the oldest mails.
func (o *Outbox) tidy() error {
	entries, err := os.ReadDir(o.folder) // sorted by name
	if err != nil {
		return err
	}
	var mails []string
	for _, entry := range entries {
		if outboxName.MatchString(entry.Name()) {
			mails = append(mails, entry.Name())
		}
	}
	for _, name := range mails[:max(0, len(mails)-OutboxSize)] {
		if err := os.Remove(filepath.Join(o.folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
