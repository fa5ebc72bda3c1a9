package moving

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// A LeftError says that the Caddyfile was written, and that something was left.
type LeftError struct{ Count int }

func (e *LeftError) Error() string {
	return counted(e.Count, "line was", "lines were") + " left: each says above, and in the Caddyfile, what to do"
}

// ExitStatus is how the command ends then.
func (e *LeftError) ExitStatus() int { return 2 }

// NewCommand returns the command `migrate`, for the parent it is to be a child of.
func NewCommand() *cobra.Command {
	var output string
	var o Options
	command := &cobra.Command{
		Use:   "migrate <file...>",
		Short: "Writes the Caddyfile that takes the place of an old setup",
		Long: `Reads the config of nginx, Apache or HAProxy that stood in front of a Socket.IO service, the ecosystem file of PM2 or the
compose file that ran it, and the options of the service itself, and writes the Caddyfile that takes their place.

Above each line is what it comes from, with file and line. What could not be taken is in comments and on stderr, with
what to do instead. What kept people out and could not be taken is closed.

With --behind the Caddyfile is for a Caddy behind the server that keeps ports 80 and 443, and holds Socket.IO alone; in
comments are the lines for the server in front, a test, and the way back.

Files are read, and nothing in them is run. What they include is read where it is below the folder of the file that is
named here.

The exit status is 0 when all was taken, 2 when something was left, and 1 when no Caddyfile was written.`,
		Example: `  $ caddy socketio migrate /etc/nginx/sites-enabled/example.com
  $ caddy socketio migrate --output Caddyfile /etc/nginx/nginx.conf /srv/chat/server.js /srv/chat/ecosystem.config.js
  $ caddy socketio migrate --behind /etc/apache2/sites-enabled/example.com.conf`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("name the files of the old setup: caddy socketio migrate /etc/nginx/sites-enabled/example.com")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := Migrate(args, o)
			if err != nil {
				return err
			}
			if err := write(cmd, output, result.Caddyfile); err != nil {
				return err
			}
			if len(result.Left) == 0 {
				return nil
			}
			for _, each := range result.Left {
				fmt.Fprintln(cmd.ErrOrStderr(), each)
			}
			return &LeftError{len(result.Left)}
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.Behind, "behind", "", "write it for a Caddy behind the server that keeps ports 80 and 443, at this address")
	flags.Lookup("behind").NoOptDefVal = UsualBehind
	flags.StringVar(&output, "output", "", "the file to write, which must not be there yet (default is stdout)")
	return command
}

// write writes the Caddyfile where it is to be. A file that is there already is kept.
func write(cmd *cobra.Command, output, text string) error {
	if output == "" {
		_, err := fmt.Fprint(cmd.OutOrStdout(), text)
		return err
	}
	file, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%s is there already: remove it, or name another file with --output", output)
	case err != nil:
		return plain(output, err)
	}
	if _, err := file.WriteString(text); err != nil {
		_ = file.Close()
		return plain(output, err)
	}
	return file.Close()
}
