package socketiostream

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-socketio/socketio-stream/internal/doctor"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "socketio",
		Usage: "<command>",
		Short: "Looks after Socket.IO servers",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(doctor.NewCommand())
		},
	})
}
