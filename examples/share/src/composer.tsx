import { type ChangeEvent, type FormEvent, type KeyboardEvent, useRef, useState } from "react";

/** Composer is where one writes a text, or picks files. */
export function Composer({ onText, onFiles }: { onText: (text: string) => void; onFiles: (files: File[]) => void }) {
  const [text, setText] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() === "") return;
    onText(text);
    setText("");
  };
  const key = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    // Not the Enter that ends the choice of a word, as in Japanese.
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) send(event);
  };
  const picked = ({ target }: ChangeEvent<HTMLInputElement>) => {
    onFiles([...(target.files ?? [])]);
    // The same file can be picked again.
    target.value = "";
  };
  return (
    <form className="composer" onSubmit={send}>
      <input ref={input} id="files" type="file" multiple hidden onChange={picked} />
      <button type="button" onClick={() => input.current?.click()} aria-label="Share files" title="Share files">
        <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
          <path d="m16 9-6.2 6.2a3.5 3.5 0 0 1-5-5L11.4 3.7a2.3 2.3 0 0 1 3.3 3.3l-6.4 6.4a1.1 1.1 0 0 1-1.6-1.6L12.5 6" />
        </svg>
      </button>
      <label className="hidden" htmlFor="text">
        Text to share
      </label>
      <textarea
        id="text"
        rows={Math.min(6, text.split("\n").length)}
        value={text}
        placeholder="Write something"
        autoFocus={matchMedia("(pointer: fine)").matches}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={key}
      />
      <button className="primary" type="submit" disabled={text.trim() === ""}>
        Send
      </button>
    </form>
  );
}
