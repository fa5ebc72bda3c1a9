package packet

// maxAttachments is how many attachments the packets of these tests may have.
const maxAttachments = 10

const placeholder0 = `{"_placeholder":true,"num":0}`

// mustArgs encodes arguments.
func mustArgs(values ...any) Args {
	args, err := NewArgs(values...)
	if err != nil {
		panic(err)
	}
	return args
}
