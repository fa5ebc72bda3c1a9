import { type FormEvent, useState } from "react";
import { Top } from "./top.js";

/** Start asks for a name before one joins, or starts, a session. */
export function Start({ name, invited, onEnter }: { name: string; invited: boolean; onEnter: (name: string) => void }) {
  const [text, setText] = useState(name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const chosen = text.trim();
    if (chosen !== "") onEnter(chosen);
  };
  return (
    <>
      <Top />
      <main className="start">
        <form className="panel" onSubmit={submit}>
          <h1>{invited ? "You are invited" : "Share text, images and files"}</h1>
          <p>
            {invited
              ? "Somebody wants to share something with you. What name should they see?"
              : "Start a session and send its link to a friend. All that you share is encrypted in your browser, and only those who have the link can read it."}
          </p>
          <label className="field" htmlFor="name">
            Your name
            <input
              id="name"
              value={text}
              onChange={(event) => setText(event.target.value)}
              required
              maxLength={64}
              autoComplete="nickname"
              autoFocus
            />
          </label>
          <button className="primary" type="submit">
            {invited ? "Join the session" : "Start a session"}
          </button>
        </form>
      </main>
    </>
  );
}
