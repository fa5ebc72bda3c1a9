package socketiostream

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-socketio/socketio-stream/admin/admincli"
	"github.com/caddy-socketio/socketio-stream/internal/doctor"
	"github.com/caddy-socketio/socketio-stream/internal/moving"
)

// exitCodeUnreachable is how a command ends that has found no Caddy to ask; one that was refused
// ends with 1.
const exitCodeUnreachable = 4

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "socketio",
		Usage: "<command>",
		Short: "Looks after Socket.IO servers",
		Long: `
Looks after Socket.IO servers. The doctor looks at any site from outside, and
migrate reads the files of an old setup. All other commands show the hubs of a
running Caddy and act on them by its admin endpoint, which is found as Caddy's
other commands do: --address, or the admin address in the --config file, or
localhost:2019. Their exit status is 0 when it was done, 1 when it was not, and
4 when there was no Caddy to ask.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.AddCommand(doctor.NewCommand())
			cmd.AddCommand(withExitCode(moving.NewCommand()))
			for _, command := range admincli.NewCommands() {
				cmd.AddCommand(withExitCode(command))
			}
		},
	})
}

// withExitCode makes a command end with a status of its own where its error has one, and with
// exitCodeUnreachable where that is what it means.
func withExitCode(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		status := exitCodeUnreachable
		var unreachable *admincli.Unreachable
		var leaves *moving.LeftError
		switch {
		case errors.As(err, &leaves):
			status = leaves.ExitStatus()
		case !errors.As(err, &unreachable):
			return err
		}
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
		cmd.SilenceErrors = true
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, args)
	}
	return cmd
}
