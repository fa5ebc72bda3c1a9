package admincli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// The bounds of tail: how long a line may be, and for how long Caddy may be
// away while it reloads.
const (
	longestLine    = 4 << 20
	reloadPatience = 10 * time.Second
	retryInterval  = 100 * time.Millisecond
)

// follow is what tail was asked for.
type follow struct {
	namespace, event, socket string
	payload                  bool
	count                    int
	seen                     int
}

func newTail() *cobra.Command {
	var f follow
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follows events as they come and go",
		Long: `Follows the events that clients send (in) and those that the server sends to
them (out): one line each, with its time, namespace, name and size, and who it
comes from or goes to. What is sent to many is one line. Payloads are only shown
with --payload. A reader that is too slow misses lines, and is told how many; it
never slows the server down.

A reload of the config does not end it: it follows on, but what happens in that
moment is not shown.`,
		Example: `  caddy socketio tail
  caddy socketio tail --event chat --namespace /chat --payload
  caddy socketio tail --json --count 1000 > events.jsonl`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.namespace, "namespace", "n", "", "Only this namespace")
	flags.StringVar(&f.event, "event", "", "Only events of this name")
	flags.StringVar(&f.socket, "socket", "", "Only what the socket of this id sends, brings about or gets by itself")
	flags.BoolVar(&f.payload, "payload", false, "Show payloads, up to 64 KiB each")
	flags.IntVar(&f.count, "count", 0, "End after so many events")
	return prepare(cmd, f.run)
}

func (f *follow) run(ctx context.Context, s *session, _ []string) error {
	if f.count < 0 {
		return fmt.Errorf("--count must not be negative, is %d", f.count)
	}
	hub, err := s.client.hub(ctx, s.hubName)
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, value := range map[string]string{"namespace": f.namespace, "event": f.event, "socket": f.socket} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.payload {
		query.Set("payload", "true")
	}
	path := join("hubs", hub.Name, "tail")
	answer, err := s.client.request(ctx, http.MethodGet, path, query, nil)
	for {
		if err != nil {
			return err
		}
		if s.terminal != nil && !s.json && f.seen == 0 {
			_, _ = fmt.Fprintf(s.errOut, "Following the hub %s; Ctrl-C ends.\n", hub.Name)
		}
		var end string
		end, err = f.read(s, answer)
		switch {
		case err != nil || ctx.Err() != nil || f.done():
			return err
		case end == adminapi.EndReload:
			_, _ = fmt.Fprintln(s.errOut, "The config was reloaded; following on.")
		case end != "":
			return fmt.Errorf("%s: the hub %s is no more", end, hub.Name)
		default:
			return errors.New("the connection to Caddy has ended: it has stopped, or its admin endpoint has")
		}
		answer, err = f.again(ctx, s, path, query)
	}
}

func (f *follow) done() bool { return f.count > 0 && f.seen >= f.count }

// again follows anew once a reload has brought the admin endpoint back.
func (f *follow) again(ctx context.Context, s *session, path string, query url.Values) (*http.Response, error) {
	deadline := time.Now().Add(reloadPatience)
	for {
		s.client.http.CloseIdleConnections()
		answer, err := s.client.request(ctx, http.MethodGet, path, query, nil)
		var away *Unreachable
		if err == nil || !errors.As(err, &away) || time.Now().After(deadline) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryInterval):
		}
	}
}

// read shows lines until there are no more, and returns why.
func (f *follow) read(s *session, answer *http.Response) (end string, err error) {
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	for lines.Scan() {
		var line adminapi.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return "", fmt.Errorf("a line of the tail cannot be read: %w", err)
		}
		switch {
		case line.End != "":
			return line.End, nil
		case s.json:
			_, err = fmt.Fprintf(s.out, "%s\n", lines.Bytes())
		case line.Lost > 0:
			err = s.printf("(%s missed: this reader is too slow)\n", some(line.Lost, "event was", "events were"))
		default:
			err = s.printf("%s", lineText(&line))
		}
		if err != nil {
			return "", err
		}
		if line.Lost == 0 {
			f.seen++
		}
		if f.done() {
			return "", nil
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return "", lines.Err()
	}
	return "", nil
}

// lineText writes an event for a person.
func lineText(line *adminapi.Line) string {
	bytes := 0
	if line.Bytes != nil {
		bytes = *line.Bytes
	}
	text := fmt.Sprintf("%s  %-3s  %-8s  %-20s  %7s  %s", line.Time.Local().Format("15:04:05.000"), line.Direction,
		printable(line.Namespace), printable(shorten(line.Event, widestName)), size(bytes), parties(line))
	text = strings.TrimRight(text, " ") + "\n"
	switch {
	case line.PayloadOmitted:
		text += "    (a payload this large is not shown)\n"
	case line.Args != nil:
		text += "    " + payload(line) + "\n"
	}
	return text
}

// parties says who an event comes from or goes to.
func parties(line *adminapi.Line) string {
	switch {
	case line.Direction == adminapi.In:
		return "from " + printable(line.Socket)
	case !line.Broadcast:
		return "to " + printable(line.Socket)
	}
	text := "to everyone"
	if len(line.Rooms) > 0 {
		text = "to " + named("room", line.Rooms)
	}
	var without []string
	if line.Socket != "" {
		without = append(without, printable(line.Socket))
	}
	if len(line.Except) > 0 {
		without = append(without, named("room", line.Except))
	}
	if without != nil {
		text += " but " + strings.Join(without, " and ")
	}
	return text
}

// named lists a few names.
func named(what string, names []string) string {
	const most = 3
	if len(names) > 1 {
		what += "s"
	}
	var shown []string
	for _, name := range names[:min(len(names), most)] {
		shown = append(shown, printable(shorten(name, widestName)))
	}
	if len(names) > most {
		shown = append(shown, fmt.Sprintf("%d more", len(names)-most))
	}
	return what + " " + strings.Join(shown, ", ")
}

// payload writes the arguments on one line, binary ones in base64 behind them.
func payload(line *adminapi.Line) string {
	var compact bytes.Buffer
	if json.Compact(&compact, line.Args) != nil {
		return printable(string(line.Args))
	}
	text := printable(compact.String())
	for i, attachment := range line.Attachments {
		text += fmt.Sprintf(" %d=base64:%s", i, base64.StdEncoding.EncodeToString(attachment))
	}
	return text
}
