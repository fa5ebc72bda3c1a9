package doctor

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// The exit statuses of the command.
const (
	exitHealthy   = 0
	exitProblem   = 1
	exitCannotRun = 2
)

// NewCommand returns the command `doctor`, for the parent it is to be a child of.
func NewCommand() *cobra.Command {
	var o Options
	var headers []string
	var asJSON bool
	command := &cobra.Command{
		Use:   "doctor <site>",
		Short: "Walks a site as a Socket.IO client would, and says what is wrong",
		Long: `Walks a site as a Socket.IO client would: name, TLS, the handshake by polling, the namespace, WebSocket, the upgrade to
it, origins, message size, and the timeouts of a proxy in between. It says in words what is wrong, where it was seen, and
which line mends it, for nginx, Apache, HAProxy, Caddy, or Node's own server.

The site need not be served by Caddy, and is asked directly, without a proxy of the environment. Every session that is
opened is closed again, and neither session IDs nor what is given with --auth and --header is printed.

The exit status is 0 when there is no problem, 1 when there is one, and 2 when the address or an option is wrong, or the
visit was ended before everything was looked at.`,
		Example: `  $ caddy socketio doctor https://example.com
  $ caddy socketio doctor https://example.com --path /streaming/socket.io/ --origin https://app.example.com
  $ caddy socketio doctor https://example.com --wait 70s`,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return cannotRun(cmd, errors.New("the address of the site is missing: caddy socketio doctor https://example.com"))
			case len(args) > 1:
				return cannotRun(cmd, errors.New("one site at a time: there is more than one address"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Header = make(http.Header)
			for _, line := range headers {
				name, value, err := parseHeaderLine(line)
				if err != nil {
					return cannotRun(cmd, err)
				}
				o.Header.Add(name, value)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			report, err := Examine(ctx, args[0], o)
			if err != nil {
				return cannotRun(cmd, err)
			}
			out := cmd.OutOrStdout()
			if asJSON {
				err = report.WriteJSON(out)
			} else {
				err = report.WriteText(out, isTerminal(out))
			}
			switch {
			case err != nil:
				return cannotRun(cmd, err)
			case !report.Complete:
				return cannotRun(cmd, errors.New("the visit ended before everything was looked at"))
			case !report.Healthy:
				return exit(cmd, exitProblem)
			}
			return exit(cmd, exitHealthy)
		},
	}
	command.SetFlagErrorFunc(cannotRun)
	flags := command.Flags()
	flags.StringArrayVar(&o.Paths, "path", nil, "a Socket.IO path; may be repeated (default /socket.io/ or /streaming/socket.io/)")
	flags.StringVar(&o.Namespace, "namespace", "/", "the namespace to connect to")
	flags.StringVar(&o.Auth, "auth", "", "what to show when connecting to the namespace: a JSON object")
	flags.StringVar(&o.Origin, "origin", "", "the origin of a page that is to be allowed (default the site's own)")
	flags.StringArrayVar(&headers, "header", nil, "a header for every request, 'Name: value'; may be repeated")
	flags.BoolVar(&o.Insecure, "insecure", false, "go on with a certificate that cannot be verified")
	flags.DurationVar(&o.Timeout, "timeout", defaultTimeout, "how long each request may take")
	flags.DurationVar(&o.Wait, "wait", defaultWait, "how long to hold a silent WebSocket and a pending poll; 70s shows most proxies' timeouts")
	flags.IntVar(&o.HTTPPort, "http-port", 0, "where plain HTTP should redirect to the site (default 80 for a site on 443)")
	flags.StringVar(&o.Health, "health", "", "the path of the health endpoint (default /health, if there is one)")
	flags.BoolVar(&asJSON, "json", false, "write the report as JSON")
	return command
}

// cannotRun says why nothing was looked at.
func cannotRun(cmd *cobra.Command, err error) error {
	fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
	return exit(cmd, exitCannotRun)
}

// errProblem makes Caddy's command end with status 1; the report has said why.
var errProblem = errors.New("the site has a problem")

// exit returns the error that makes Caddy's command end with a status.
func exit(cmd *cobra.Command, status int) error {
	switch status {
	case exitHealthy:
		return nil
	case exitProblem:
		return errProblem
	}
	// Caddy's command keeps the error that carries a status to itself.
	carry := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })
	return carry(cmd, nil)
}

// isTerminal tells whether a person reads, and likes colour.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
