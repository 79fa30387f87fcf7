// Who has signed in: the credential, kept for this tab only and gone with it, and what the API says of its owner.

const NAME = "forecast-platform credential";

export const credential = () => sessionStorage.getItem(NAME);
export const keep = (text) => sessionStorage.setItem(NAME, text);
export const forget = () => sessionStorage.removeItem(NAME);
