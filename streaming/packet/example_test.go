package packet_test

import (
	"errors"
	"fmt"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// upload is what a client sends of a file, and what others get of it.
type upload struct {
	Name string `json:"name"`
	Size int    `json:"size"`
	Data []byte `json:"data"`
}

// Values become arguments, in which bytes are binary data, and arguments become
// values again.
func Example() {
	args, err := packet.NewArgs("photos", upload{Name: "cat.png", Size: 3, Data: []byte("png")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(args.AppendJSON(nil)), len(args.Attachments()))

	var folder string
	var file upload
	if err := args.Decode(&folder, &file); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %s, %q\n", folder, file.Name, file.Data)

	var wrong *packet.DecodeError
	err = args.Decode(&folder, &folder)
	fmt.Println(errors.As(err, &wrong), wrong.Argument)
	// Output:
	// ["photos",{"name":"cat.png","size":3,"data":{"_placeholder":true,"num":0}}] 1
	// photos: cat.png, "png"
	// true 1
}

// The parts of what a client has sent are put together anew, with no more of its
// attachments than they need.
func ExampleArgsBuilder() {
	came, _ := packet.NewArgs(map[string]any{"title": "a cat", "image": []byte("png"), "thumbnail": []byte("small")})
	object, _ := came.Object(0)

	var b packet.ArgsBuilder
	image, ok := b.Forward(object, "image")
	if !ok {
		return
	}
	b.Add("shared")
	b.AddJSON(image)
	args, err := b.Args()
	fmt.Println(string(args.AppendJSON(nil)), len(args.Attachments()), err)
	// Output:
	// ["shared",{"_placeholder":true,"num":0}] 1 <nil>
}
