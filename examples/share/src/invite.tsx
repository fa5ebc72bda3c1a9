import { useEffect, useState } from "react";

/** Invite shows the link of the session: the address of this page, with the key in its fragment. */
export function Invite() {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (said === "") return;
    const timer = setTimeout(() => setSaid(""), 3000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      setSaid("Copied");
    } catch {
      document.querySelector<HTMLInputElement>("#link")?.select();
      setSaid("Press Ctrl+C");
    }
  };
  // What fails here is the person's own "no".
  const send = () => navigator.share({ title: "Share with me", url: location.href }).catch(() => undefined);
  return (
    <section className="panel invite" aria-labelledby="invite-title">
      <h2 id="invite-title">Invite</h2>
      <label className="field" htmlFor="link">
        <span className="caption">Link to this session</span>
        <input id="link" readOnly value={location.href} onFocus={(event) => event.target.select()} />
      </label>
      <div className="row">
        <button type="button" id="copy" onClick={() => void copy()}>
          Copy link
        </button>
        {"share" in navigator && (
          <button type="button" onClick={() => void send()}>
            Send…
          </button>
        )}
      </div>
      <p className={said === "" ? "soft note" : "soft"} role="status">
        {said || "It holds the key: whoever has it can read everything."}
      </p>
    </section>
  );
}
