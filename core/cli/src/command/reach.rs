//! How a server is reached, as the flags say.

use greenroom_protocol::{Code, Error};
use greenroom_room::{Proxy, read_ca};

use crate::args::Reach;

/// The certificates of the authorities to trust, and the proxy.
pub(super) fn through(reach: &Reach) -> Result<(Option<Vec<u8>>, Proxy), Error> {
    let ca = reach.ca.as_deref().map(read_ca).transpose()?;
    let proxy =
        reach.proxy.as_ref().map_or_else(|| Ok(Proxy::default()), |url| Proxy::parse(url.reveal()))?;
    if proxy.has_credentials() {
        let message = "the url after --proxy holds a user or a password, and every user of this machine sees arguments; set it in HTTPS_PROXY or ALL_PROXY instead";
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok((ca, proxy))
}
