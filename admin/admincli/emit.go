package admincli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// emit is what emit was asked for.
type emit struct {
	namespace string
	node      string
	text      bool
	wanted    adminapi.Emit
}

func newEmit() *cobra.Command {
	var e emit
	cmd := &cobra.Command{
		Use:   "emit <event> [<argument>...]",
		Short: "Sends an event to clients",
		Long: `Sends an event to everyone in a namespace, or to the members of rooms. The id
of a socket is a room that holds just that socket. Each argument is a JSON
value, or, with --text, a text as it stands.`,
		Example: `  caddy socketio emit notice '{"text":"restart at noon"}'
  caddy socketio emit notice --text "restart at noon" --room staff
  caddy socketio emit stop --namespace /chat --room lAb3Z8kYhQn2Vd0cAAAB`,
		Args: cobra.MinimumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVarP(&e.namespace, "namespace", "n", "/", "Namespace to send to")
	flags.StringVar(&e.node, "node", "", "Only to clients of this server of the cluster")
	flags.StringArrayVar((*[]string)(&e.wanted.Rooms), "room", nil, "Only to members of this room, or to the socket of this id; may be repeated")
	flags.StringArrayVar(&e.wanted.Except, "except", nil, "Not to members of this room; may be repeated")
	flags.BoolVar(&e.wanted.Volatile, "volatile", false, "Better lost than late: leave out clients that do not keep up")
	flags.BoolVar(&e.text, "text", false, "Arguments are texts, not JSON")
	return prepare(cmd, e.run)
}

func (e *emit) run(ctx context.Context, s *session, args []string) error {
	e.wanted.Event = args[0]
	if len(e.wanted.Rooms) == 0 {
		e.wanted.Rooms = nil
	}
	var err error
	if e.wanted.Args, err = e.arguments(args[1:]); err != nil {
		return err
	}
	hub, err := s.client.hub(ctx, s.hubName)
	if err != nil {
		return err
	}
	var done adminapi.Emitted
	if err := s.client.post(ctx, join("hubs", hub.Name, "namespaces", namespaceName(e.namespace), "emit"), nodeQuery(e.node), e.wanted, &done); err != nil {
		return err
	}
	s.warn(done.Missing)
	if s.json {
		return s.printJSON(done)
	}
	if done.Receivers == 0 {
		return s.printf("Nobody was there to receive %s.\n", printable(e.wanted.Event))
	}
	return s.printf("Sent %s to %s.\n", printable(e.wanted.Event), some(done.Receivers, "socket", "sockets"))
}

// arguments makes a JSON array of what was given.
func (e *emit) arguments(given []string) (json.RawMessage, error) {
	values := make([]json.RawMessage, 0, len(given))
	for _, text := range given {
		if e.text {
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			values = append(values, quoted)
			continue
		}
		var value json.RawMessage
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				err = fmt.Errorf("%w, after %d bytes", err, syntax.Offset)
			}
			return nil, fmt.Errorf("the argument %s is not JSON: %w. A text in JSON has double quotes, '\"like this\"'; --text takes arguments as they stand", printable(shorten(text, widestName)), err)
		}
		values = append(values, value)
	}
	return json.Marshal(values)
}
