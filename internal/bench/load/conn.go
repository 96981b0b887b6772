package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Conn is one keep-alive connection. It is not safe for concurrent use.
type Conn struct {
	c    net.Conn
	r    *bufio.Reader
	body []byte
}

// answerTime bounds the wait for one answer. It is far beyond any latency the
// product promises, so that reaching it is a failure and not a slow answer.
const answerTime = 30 * time.Second

// Dial connects to host:port.
func Dial(address string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return &Conn{c: c, r: bufio.NewReaderSize(c, 8<<10)}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// Do sends a whole request and reads the whole answer. The body is valid until
// the next call. After an error the connection is of no use any more, and
// whether the server carried the request out is not known.
func (c *Conn) Do(request []byte) (status int, body []byte, err error) {
	if err := c.c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, nil, fmt.Errorf("set the deadline: %w", err)
	}
	if _, err := c.c.Write(request); err != nil {
		return 0, nil, fmt.Errorf("send: %w", err)
	}
	answer, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	defer answer.Body.Close()
	c.body = c.body[:0]
	for {
		if len(c.body) == cap(c.body) {
			c.body = append(c.body, 0)[:len(c.body)]
		}
		n, err := answer.Body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, nil, fmt.Errorf("read the answer's body: %w", err)
		}
	}
	if answer.Close {
		return answer.StatusCode, c.body, ErrClosing
	}
	return answer.StatusCode, c.body, nil
}

// ErrClosing means that the answer is complete and the server closes the
// connection after it.
var ErrClosing = errors.New("the server closes the connection")
