//! Tells the linker of each platform that the symbols of Node-API come from the node that loads the addon.

fn main() {
    napi_build::setup();
}
