// Says what a request stands for, and nothing else: the gateway asks Consentry, and refuses.
//
// Who asks is read from the header `x-installer`. Something in front of this plugin must have found out, and must
// overwrite what a client sends under that name.

import { get } from "consentry:gateway/headers@0.1.0";

// Consentry's ids are of these characters, so that nothing is escaped; `.` and `..` are no ids in a path.
const ID = /^(?!\.\.?$)[A-Za-z0-9._@:+-]{1,128}$/;
const ACTIONS = new Map([["live", "liveView"], ["playback", "playback"], ["configure", "configure"]]);

export function accessRequestOf(head) {
  // `/sites/{site}/devices/{device}/live`
  const [empty, sites, site, devices, device, does, ...more] = head.path.split("?")[0].split("/");
  const installer = only("x-installer");
  const mapped = empty === "" && sites === "sites" && devices === "devices" && more.length === 0
    && ACTIONS.has(does) && [site, device, installer].every((id) => ID.test(id));
  if (!mapped) return undefined;
  return {
    principal: { entityType: "Installer", id: installer },
    action: ACTIONS.get(does),
    resource: { entityType: "Device", id: device },
    context: [],
    atLeast: undefined,
  };
}

// The value of a header that is there once; of two, nobody knows which counts.
function only(name) {
  const values = get(name);
  return values.length === 1 && values[0].length <= 128 ? String.fromCharCode(...values[0]) : "";
}
