// How the tests start Chromium.

/** The arguments of every browser that the tests start. */
export const browserArgs = [
  "--no-sandbox",
  // Where there is no graphics card, emulating one costs more than doing without.
  "--disable-gpu",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  // Each window would draw the lists below its address bar, as pages of their own, for nobody to see: that costs more
  // than what is tested. The features after those are Playwright's own list, which this argument replaces.
  "--disable-features=" + [
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup",
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "DialMediaRouteProvider",
    "GlobalMediaControls", "HttpsUpgrades", "LensOverlay", "MediaRouter", "PaintHolding",
    "ThirdPartyStoragePartitioning", "BlockOriginHeaderModificationOnRedirect", "AvoidCorsURLLoaderRestartOnRedirect",
    "Translate", "AutoDeElevate", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled",
  ].join(","),
];

/** The arguments of a browser whose pages play, and record an invented camera, without being asked. */
export const mediaArgs = [
  ...browserArgs,
  "--autoplay-policy=no-user-gesture-required",
  "--use-fake-device-for-media-stream",
];
