/** How the server of a room is reached: certificate authorities and proxy. */

import { types } from 'node:util';
import { requireSecret, requireText } from './checks.js';
import { invalid } from './failures.js';
import { filePath, isUrl } from './realms.js';

/** How a LiveKit server is reached, where that is not as the environment has it. */
export interface ReachOptions {
  /**
   * The authorities to trust instead of the system's, as certificates in PEM: a file of them, or
   * their bytes or text. `SSL_CERT_FILE` names a file of the system's.
   */
  ca?: string | URL | Uint8Array | undefined;
  /**
   * The HTTP proxy through which the server is reached, `http://user:password@host:port`; `''` is
   * none. Unless given, HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names it, and NO_PROXY what is
   * excepted; a server on this machine needs none. Media by UDP goes through none.
   */
  proxy?: string | undefined;
}

/** @internal The options of a room that say how its server is reached. */
export function reachedBy({ ca, proxy }: ReachOptions): { ca: string | null; proxy: string | null } {
  return {
    ca: ca === undefined ? null : certificates(ca),
    proxy: proxy === undefined ? null : requireSecret('the proxy', proxy),
  };
}

function certificates(ca: string | URL | Uint8Array): string {
  if (isUrl(ca)) return filePath(ca);
  if (!types.isUint8Array(ca)) return requireText('the ca', ca);
  const text = Buffer.from(ca).toString('latin1');
  // Else it would be taken for the name of a file.
  if (!text.includes('-----BEGIN ')) throw invalid('the bytes of ca are not PEM; pass a file of certificates, or their text');
  return text;
}
