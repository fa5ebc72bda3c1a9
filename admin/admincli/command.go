package admincli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// session is one run of a command.
type session struct {
	client *client
	out    io.Writer
	errOut io.Writer
	// hubName is the hub that is asked for, or empty.
	hubName string
	json    bool
	// terminal is out, if that is one.
	terminal *os.File
	// warned are the servers that were named already, see warn.
	warned []adminapi.Missing
}

// NewCommands returns the commands, to be put below one of the caller's.
func NewCommands() []*cobra.Command {
	return []*cobra.Command{newList(), newTop(), newEmit(), newKick(), newTail()}
}

// prepare adds the flags that all commands have, and makes them run it.
func prepare(cmd *cobra.Command, run func(ctx context.Context, s *session, args []string) error) *cobra.Command {
	flags := cmd.Flags()
	address := flags.String("address", "", "Address of Caddy's admin endpoint (default: that of --config, else localhost:2019)")
	config := flags.StringP("config", "c", "", "Config file to read the admin address from")
	adapter := flags.StringP("adapter", "a", "", "Name of the config adapter for --config")
	asJSON := flags.Bool("json", false, "Write JSON")
	hub := flags.String("hub", "", "Name of the hub; needed where there are several")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		endpoint, err := findEndpoint(*address, *config, *adapter)
		if err != nil {
			return err
		}
		s := &session{client: newClient(endpoint), out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), hubName: *hub, json: *asJSON}
		defer s.client.http.CloseIdleConnections()
		if file, ok := s.out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
			s.terminal = file
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, s, args)
		if err != nil && ctx.Err() != nil {
			return nil // who was asked to stop has not failed
		}
		return err
	}
	return cmd
}

// printf writes text.
func (s *session) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(s.out, format, args...)
	return err
}

// printJSON writes a line of JSON.
func (s *session) printJSON(value any) error { return json.NewEncoder(s.out).Encode(value) }

// name prepares a name for a table.
func (s *session) name(text string) string {
	text = printable(text)
	if s.terminal != nil {
		return shorten(text, widestName)
	}
	return text
}
