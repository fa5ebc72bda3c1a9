/** openCamera returns the camera as a MediaStream, with the microphone where there is one. Its errors are plain. */
export async function openCamera() {
  const video = { width: { ideal: 960 }, height: { ideal: 540 }, frameRate: { max: 30 } };
  const devices = navigator.mediaDevices;
  if (!devices?.getUserMedia) throw new Error("This browser gives pages no camera; cameras need HTTPS.");
  try {
    return await devices.getUserMedia({ video, audio: true });
  } catch {
    // A missing or refused microphone is no reason to go without a picture.
  }
  try {
    return await devices.getUserMedia({ video });
  } catch (error) {
    throw new Error(error.name === "NotAllowedError" ? "The camera was not allowed." : "No camera was found.");
  }
}
