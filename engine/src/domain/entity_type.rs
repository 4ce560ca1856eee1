macro_rules! types {
    ($($name:ident),*) => {
        /// The Cedar types of what the engine knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Type { $($name),* }

        impl Type {
            pub(crate) const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

types!(
    Company,
    Operator,
    EndUser,
    Installer,
    Site,
    Device,
    Invite,
    PermissionApplication,
    ResetTicket,
    Grant
);
