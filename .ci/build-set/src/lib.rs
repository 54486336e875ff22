//! Empty: the manifest lists the features that every build of the workspace shares.
