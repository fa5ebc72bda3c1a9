package admincli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

// kick is what kick was asked for.
type kick struct {
	wanted    adminapi.Disconnect
	identity  string
	namespace string
	node      string
}

func newKick() *cobra.Command {
	var k kick
	cmd := &cobra.Command{
		Use:   "kick <socket>... | --identity <id>",
		Short: "Disconnects sockets",
		Long: `Disconnects sockets, by the ids that ls sockets lists. The client is told, and
does not come back by itself. With --close its whole connection is closed, with
its sockets in other namespaces.

With --identity all sockets of one client are disconnected, wherever it is
connected, or in one namespace with --namespace. The client may connect again
for as long as its token holds.`,
		Example: `  caddy socketio kick lAb3Z8kYhQn2Vd0cAAAB
  caddy socketio kick --close lAb3Z8kYhQn2Vd0cAAAB
  caddy socketio kick --identity ada --close`,
		DisableFlagParsing: true, // see dashedIDs
	}
	cmd.Flags().BoolVar(&k.wanted.Close, "close", false, "Close the whole connection")
	cmd.Flags().StringVar(&k.identity, "identity", "", "All sockets of the client that is known as this")
	cmd.Flags().StringVarP(&k.namespace, "namespace", "n", "", "With --identity, only this namespace")
	cmd.Flags().StringVar(&k.node, "node", "", "Only clients of this server of the cluster")
	prepare(cmd, k.run)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, rest := dashedIDs(cmd.Flags(), args)
		if err := cmd.Flags().Parse(rest); err != nil {
			return err
		}
		if help, _ := cmd.Flags().GetBool("help"); help {
			return cmd.Help()
		}
		ids = append(ids, cmd.Flags().Args()...)
		switch byIdentity := cmd.Flags().Changed("identity"); {
		case byIdentity && k.identity == "":
			return errors.New("--identity is empty: it must be who a client is, as ls sockets shows it")
		case byIdentity && len(ids) > 0:
			return errors.New("kick takes the ids of sockets, or --identity, not both")
		case !byIdentity && k.namespace != "":
			return errors.New("--namespace is for kick --identity: the id of a socket is in one namespace anyway")
		case !byIdentity && len(ids) == 0:
			return errors.New("kick needs the id of a socket, as ls sockets lists them, or --identity")
		}
		return run(cmd, ids)
	}
	return cmd
}

// socketID is what the ids of sockets look like.
var socketID = regexp.MustCompile(`^[A-Za-z0-9_-]{20}$`)

// dashedIDs takes ids that begin with a dash, as one in 64 does, out of the
// arguments, where they would be taken for flags.
func dashedIDs(flags *pflag.FlagSet, args []string) (ids, rest []string) {
	for i, arg := range args {
		if arg == "--" {
			return ids, append(rest, args[i:]...)
		}
		name, long := strings.CutPrefix(arg, "--")
		if strings.HasPrefix(arg, "-") && socketID.MatchString(arg) && (!long || flags.Lookup(name) == nil) {
			ids = append(ids, arg)
		} else {
			rest = append(rest, arg)
		}
	}
	return ids, rest
}

func (k *kick) run(ctx context.Context, s *session, ids []string) error {
	hubs, err := s.client.hubs(ctx, s.hubName)
	if err != nil {
		return err
	}
	if len(hubs) == 0 {
		return errNoHub
	}
	if k.identity != "" {
		return k.client(ctx, s, hubs)
	}
	var failed error
	for _, id := range ids {
		gone, err := k.disconnect(ctx, s, hubs, id)
		switch {
		case isNotFound(err):
			// The others are still to be disconnected.
			failed = errors.Join(failed, fmt.Errorf("no socket has the id %s; it may have disconnected", printable(shorten(id, widestName))))
		case err != nil:
			return errors.Join(failed, err)
		case s.json:
			err = s.printJSON(gone)
		default:
			err = s.printf("Disconnected %s from %s: %s by %s, after %s\n", printable(gone.ID), printable(gone.Namespace),
				printable(gone.Address), printable(gone.Transport), duration(time.Since(gone.ConnectedSince)))
		}
		if err != nil && !isNotFound(err) {
			return err
		}
	}
	return failed
}

// client disconnects all sockets of a client, in all hubs.
func (k *kick) client(ctx context.Context, s *session, hubs []adminapi.Hub) error {
	wanted := adminapi.DisconnectIdentity{Identity: k.identity, Close: k.wanted.Close}
	total, found := 0, k.namespace == ""
	if k.namespace != "" {
		// Servers of a cluster may have other namespaces.
		if _, err := s.across(ctx, hubs, k.node); err != nil {
			return err
		}
	}
	var missing []adminapi.Missing
	for _, hub := range hubs {
		path := join("hubs", hub.Name, "disconnect")
		if k.namespace != "" {
			name := namespaceName(k.namespace)
			if !slices.ContainsFunc(hub.Namespaces, func(n adminapi.Namespace) bool { return n.Name == name }) {
				continue
			}
			found = true
			path = join("hubs", hub.Name, "namespaces", name, "disconnect")
		}
		var gone struct {
			Hub string `json:"hub"`
			adminapi.Disconnected
		}
		gone.Hub = hub.Name
		if err := s.client.post(ctx, path, nodeQuery(k.node), wanted, &gone.Disconnected); err != nil {
			return err
		}
		total += gone.Sockets
		missing = append(missing, gone.Missing...)
		if s.json {
			if err := s.printJSON(gone); err != nil {
				return err
			}
		}
	}
	who := printable(shorten(k.identity, widestName))
	switch {
	case !found:
		return fmt.Errorf("there is no namespace %s", printable(namespaceName(k.namespace)))
	case len(missing) > 0:
		s.warn(missing)
		return fmt.Errorf("disconnected %s from %s, and nobody knows of those servers", who, some(total, "socket", "sockets"))
	case total == 0:
		return fmt.Errorf("no socket is connected as %s.%s", who, s.alike(ctx, hubs, k.identity))
	case s.json:
		return nil
	}
	return s.printf("Disconnected %s from %s\n", who, some(total, "socket", "sockets"))
}

// disconnect disconnects a socket in whichever hub it is.
func (k *kick) disconnect(ctx context.Context, s *session, hubs []adminapi.Hub, id string) (gone socketRow, err error) {
	for _, hub := range hubs {
		gone.Hub = hub.Name
		if err = s.client.post(ctx, join("hubs", hub.Name, "sockets", id, "disconnect"), nodeQuery(k.node), k.wanted, &gone.Socket); !isNotFound(err) {
			return gone, err
		}
	}
	return gone, err
}
