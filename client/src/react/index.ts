export { SocketProvider, type SocketProviderProps, useSocket } from "./provider.js";
export { type ContentItem, type FileItem, type Item, type SessionState, type SessionStatus } from "./sessionstore.js";
export { type Session, useSession } from "./usesession.js";
