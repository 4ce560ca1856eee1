//! Rules that are wrong on purpose, one at a time: whoever compares the model with the engine has to find each.

macro_rules! faults {
    ($($(#[doc = $what:literal])+ $fault:ident,)+) => {
        /// What is wrong with a model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Fault {
            $($(#[doc = $what])+ $fault,)+
        }

        impl Fault {
            pub(crate) const ALL: &[Self] = &[$(Self::$fault,)+];
        }
    };
}

faults! {
    // Time.
    /// An answer at the very deadline counts.
    DeadlinesAreIncluded,
    /// A grant is live at its very end.
    GrantsEndsAreIncluded,
    /// What is late is shown as pending until somebody records it.
    ShowWaitsForTheSweeper,
    /// A line runs at its own time, though it is before another's.
    TimeGoesBack,
    /// Checks, `show` and `list` do not move the time.
    LooksMoveNoTime,
    /// A restart remembers the times of checks, which nobody wrote down.
    RestartRemembersChecks,
    /// A late try records nothing.
    ExpiriesAreNotRecorded,
    /// A grant's time starts when it is asked for.
    GrantsBeginWithTheAsking,
    /// An allow ends with the first of several grants.
    TheFirstEndCounts,
    // The order of refusals.
    /// `already_exists` before `not_found`.
    AlreadyExistsComesFirst,
    /// `not_permitted` before `already_exists`.
    NotPermittedComesFirst,
    /// State before `not_permitted`.
    StateComesFirst,
    /// `invalid` after everything else.
    SenseIsAskedForLast,
    // Repeated commands.
    /// Another password is another body.
    PasswordIsOfTheBody,
    /// Another time is another body.
    TimeIsOfTheBody,
    /// A refused command can be tried again under its id.
    RefusalsAreForgotten,
    /// A repeated command gets the password again.
    EffectsAreGivenAgain,
    // What makes no sense, what is there already.
    /// The same permission and device may be named twice.
    TwiceIsOnce,
    /// An application may be accepted with nothing.
    NothingIsAccepted,
    /// A grant may go to a company that is not the site's.
    AnyCompanyIsGiven,
    /// Invites', applications' and grants' ids may be used again.
    IdsAreUsedAgain,
    /// Two end users may have one contact.
    ContactsAreShared,
    /// E-mail addresses are compared with their case.
    EmailsHaveCase,
    /// Phone numbers are compared with their spaces.
    PhonesHaveSpaces,
    // Who may.
    /// Installers of other companies look after a site, too.
    AnyCompanyIsResponsible,
    /// `manageAllSites` gives nothing.
    ManageAllSitesIsNothing,
    /// Whoever is assigned is responsible, without `manageAssignedSites`.
    AssignmentIsEnough,
    /// Members assign sites.
    MembersAssign,
    /// Operators delete sites and remove devices after hand-over.
    OperatorsDeleteAnything,
    /// Devices are added after hand-over without a grant.
    DevicesAreAddedWithoutAGrant,
    /// `configure` needs no `manageDevices`.
    ConfiguringNeedsNoManageDevices,
    /// Inviting with permissions on devices needs no `manageDevices`.
    InvitesNeedNoManageDevices,
    /// Applying for permissions on devices needs no `manageDevices`.
    ApplicationsNeedNoManageDevices,
    /// Installers invite their own contact.
    InstallersInviteThemselves,
    /// An end user accepts an invite by somebody with the same contact.
    AskersAcceptInvites,
    /// The same with an application.
    AskersAcceptApplications,
    /// The same with a ticket.
    AskersCompleteTickets,
    /// The service can be disabled on sites that are not rental.
    ServiceIsDisabledAnywhere,
    /// `ended` grants are said never to have been.
    EndedIsNeverGranted,
    // Asking and answering.
    /// A second invite leaves the first one waiting.
    InvitesStandSideBySide,
    /// A late invite is superseded, not expired.
    LateInvitesAreSuperseded,
    /// A live application stands in the way of the same permission on other devices.
    DuplicatesOnAnyDevice,
    /// A late application stands in the way.
    LateApplicationsBlock,
    /// Nothing stands in the way.
    AnyNumberOfApplications,
    /// An acceptance may give for longer.
    LongerIsNotWider,
    /// The owner cannot refuse that the service may be disabled.
    FlagsAreAlwaysKept,
    /// Ended grants make a site `authorized`.
    EndedGrantsAuthorize,
    /// `list` goes by who owns the site now.
    ListsGoByPresentOwner,
    // What goes away.
    /// Grants outlast the owner who gave them.
    GrantsAreHandedOn,
    /// Applications outlast the owner who was asked.
    ApplicationsAreHandedOn,
    /// Tickets outlast the owner who was asked.
    TicketsAreHandedOn,
    /// So does the permission to disable the service.
    DisablingIsHandedOn,
    /// Removed devices stay in what was asked for.
    EntriesStayWithoutDevice,
    /// What has lost all its entries waits on.
    EmptiedStays,
    /// An invite that asked for nothing goes with any device.
    InvitesForNothingGo,
    /// A device that is added again has the grants of the first.
    DevicesInherit,
    /// A site that is created again has the assignments of the first.
    SitesInherit,
    /// What an installer asked for outlasts their registration.
    RemovedAskersKeepAsking,
    /// What an installer asked for outlasts their assignment.
    UnassignedAskersKeepAsking,
    /// What an installer asked for goes with an assignment that they do not need.
    UnassignedAskersAlwaysStop,
    // Tickets.
    /// Tickets are opened without a live grant on the device.
    TicketsNeedNoGrant,
    /// Tickets are opened for devices that do not support it.
    AnyDeviceIsSupported,
    /// A second ticket supersedes the first.
    TicketsSupersede,
    /// A password of one kind of characters.
    OneKindIsEnough,
    /// A password of seven characters.
    SevenAreEnough,
    /// A password with a space.
    SpacesArePrinted,
    /// An attestation is too old after five minutes to the millisecond.
    FiveMinutesAreTooOld,
    /// An attestation may be later than the completion.
    LaterIsFresh,
    /// Anybody attests.
    AnybodyAttests,
    /// The installer's client will do off site.
    AnyPeerFits,
    /// Refused completions are not counted.
    FailuresAreNotCounted,
    /// A reset that failed after the deadline waits on.
    FailedResetsNeverExpire,
    /// A reset that failed after its ground was gone waits on.
    FailedResetsKeepWaiting,
}
