package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// hesitation is the longest a vanishing client lingers after its last step.
const hesitation = 3 * time.Millisecond

// Vanish lets Count clients, Parallel at a time, go away at a random moment of connecting: half of
// them over WebSocket, half over long-polling, by a reset or an orderly close. Then it asks the
// server's /health, for at most Settle, how many connections are left. Those are ghosts.
func Vanish(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Count == 0 {
		return nil, errors.New("needs a count")
	}
	var next, whole atomic.Int64
	failures := newTally()
	var group sync.WaitGroup
	started := now()
	for range options.Parallel {
		group.Go(func() {
			for next.Add(1) <= int64(options.Count) && ctx.Err() == nil {
				connected, err := vanishOnce(ctx, target)
				if err != nil {
					failures.add(err)
				}
				if connected {
					whole.Add(1)
				}
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	result := &Result{Notes: failures.notes()}
	result.set("clients_per_s", float64(options.Count)/(now()-started).Seconds())
	result.set("failed", float64(failures.total()))
	result.set("fully_connected", float64(whole.Load()))
	return result, awaitEmpty(ctx, target, options.Settle, result)
}

// vanishOnce connects as far as it pleases and goes. An error is one of the server's making: a step
// that should have worked did not.
func vanishOnce(ctx context.Context, target *Target) (connected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tcp, err := target.dialTCP(ctx)
	if err != nil {
		return false, err
	}
	defer tcp.Close()
	if rand.IntN(2) == 0 {
		_ = tcp.SetLinger(0)
	}
	steps := rand.IntN(8)
	if steps > 0 {
		conn, err := target.secure(ctx, tcp)
		if err != nil {
			return false, err
		}
		if err := conn.SetDeadline(time.Now().Add(stepTimeout)); err != nil {
			return false, err
		}
		if rand.IntN(2) == 0 {
			connected, err = webSocketSteps(target, tcp, conn, steps)
		} else {
			connected, err = pollingSteps(target, conn, steps)
		}
		if err != nil {
			return false, err
		}
	}
	if rand.IntN(2) == 0 {
		err = sleep(ctx, rand.N(hesitation))
	}
	return connected, err
}

// webSocketSteps goes through up to seven steps: half a request, the request, its answer, the open
// packet, CONNECT, half a frame more, CONNECT's answer.
func webSocketSteps(target *Target, tcp *net.TCPConn, conn net.Conn, steps int) (connected bool, err error) {
	request := upgradeRequest(target)
	if steps == 1 {
		_, err := conn.Write(request[:rand.IntN(len(request))])
		return false, err
	}
	s := &Socket{conn: conn, tcp: tcp, buffer: make([]byte, 1<<10), compression: target.compression}
	if _, err := conn.Write(request); err != nil || steps == 2 {
		return false, err
	}
	if err := s.readUpgrade(); err != nil || steps == 3 {
		return false, err
	}
	if err := s.expect("0{"); err != nil || steps == 4 {
		return false, err
	}
	frames := frameConnect
	if steps == 6 {
		frames = append(append([]byte(nil), frameConnect...), newMessage(200).frame[:20]...)
	}
	if _, err := conn.Write(frames); err != nil || steps < 7 {
		return false, err
	}
	if err := s.expect("40{"); err != nil {
		return false, fmt.Errorf("%w: %w", errNoConnect, err)
	}
	return true, nil
}

// pollingSteps goes through up to seven steps: half a handshake, the handshake, its answer, half of
// CONNECT, CONNECT, its answer, and a poll that either brings CONNECT's answer or is left hanging.
func pollingSteps(target *Target, conn net.Conn, steps int) (connected bool, err error) {
	p := &poller{target: target, conn: conn, reader: bufio.NewReaderSize(conn, 1<<10)}
	handshake := p.request("GET", "")
	if steps == 1 {
		_, err := conn.Write(handshake[:rand.IntN(len(handshake))])
		return false, err
	}
	if _, err := conn.Write(handshake); err != nil || steps == 2 {
		return false, err
	}
	if err := p.open(); err != nil || steps == 3 {
		return false, err
	}
	post := p.request("POST", "40")
	if steps == 4 {
		_, err := conn.Write(post[:len(post)-1])
		return false, err
	}
	if _, err := conn.Write(post); err != nil || steps == 5 {
		return false, err
	}
	if _, err := p.answer(); err != nil || steps == 6 {
		return false, err
	}
	if _, err := conn.Write(p.request("GET", "")); err != nil || rand.IntN(2) == 0 {
		return false, err
	}
	body, err := p.answer()
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(body, "40{") {
		return false, fmt.Errorf("%w: got %.60q", errNoConnect, body)
	}
	return true, nil
}

// poller is a long-polling client on one connection.
type poller struct {
	target *Target
	conn   net.Conn
	reader *bufio.Reader
	sid    string
	// size is the length of the last answer's body as it came, compressed or not.
	size int
}

func (p *poller) request(method, body string) []byte {
	query := "?EIO=4&transport=polling"
	if p.sid != "" {
		query += "&sid=" + p.sid
	}
	request := fmt.Sprintf("%s %s%s HTTP/1.1\r\nHost: %s\r\n", method, p.target.Path, query, p.target.Host)
	if p.target.compression != nil {
		request += "Accept-Encoding: gzip\r\n"
	}
	if method == "POST" {
		request += fmt.Sprintf("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n", len(body))
	}
	return []byte(request + "\r\n" + body)
}

// answer reads a response, which must be 200, and inflates its body when that is compressed.
func (p *poller) answer() (string, error) {
	response, err := http.ReadResponse(p.reader, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPayload))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("polling: %s %.60q", response.Status, body)
	}
	p.size = len(body)
	if err == nil {
		body, err = p.decoded(body, response.Header.Get("Content-Encoding"))
	}
	return string(body), err
}

// decoded is a body without its encoding, which must be one that was asked for.
func (p *poller) decoded(body []byte, encoding string) ([]byte, error) {
	switch {
	case encoding == "":
		return body, nil
	case encoding == "gzip" && p.target.compression != nil:
		return p.target.compression.bodies.content(body)
	}
	return nil, fmt.Errorf("polling: the answer has the encoding %.20q, which was not asked for", encoding)
}

// open reads the open packet and keeps the session's id.
func (p *poller) open() error {
	body, err := p.answer()
	if err != nil {
		return err
	}
	var open struct {
		SID string `json:"sid"`
	}
	rest, found := strings.CutPrefix(body, "0")
	if !found || json.Unmarshal([]byte(rest), &open) != nil || open.SID == "" {
		return fmt.Errorf("polling: got %.60q where the open packet was due", body)
	}
	p.sid = open.SID
	return nil
}

// awaitEmpty polls /health until it tells of no connection. Every number in that answer goes into
// the result.
func awaitEmpty(ctx context.Context, target *Target, atMost time.Duration, result *Result) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: stepTimeout}
	started := now()
	for {
		health, err := readHealth(ctx, client, target)
		if err != nil {
			return err
		}
		left, counted := health["connections"]
		if !counted {
			return errors.New("/health does not tell connections")
		}
		left += health["sockets"]
		if left == 0 || now()-started > atMost {
			for name, value := range health {
				result.set("health_"+name, value)
			}
			result.set("ghosts", health["connections"])
			result.set("settled_s", (now() - started).Seconds())
			return nil
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

func readHealth(ctx context.Context, client *http.Client, target *Target) (map[string]float64, error) {
	scheme := "http"
	if target.TLS {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+target.Address+"/health", nil)
	if err != nil {
		return nil, err
	}
	request.Host = target.Host
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var fields map[string]any
	if err := json.NewDecoder(io.LimitReader(response.Body, maxPayload)).Decode(&fields); err != nil {
		return nil, fmt.Errorf("/health: %w", err)
	}
	numbers := make(map[string]float64)
	for name, value := range fields {
		if number, isNumber := value.(float64); isNumber {
			numbers[name] = number
		}
	}
	return numbers, nil
}
